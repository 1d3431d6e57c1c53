"""Child processes that never outlive their parent's `with` block, and ports they are given.

Knows processes, signals, logs and sockets; knows nothing of what the children do.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from townsfolk.errors import LaunchError

STOP_SECONDS = 20
TAIL_LINES = 15
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Interrupts:
    """Signal handler: raises KeyboardInterrupt, but not between a program's start and the note of it.

    Else a ctrl-C at that moment would leave a program that nobody knows of.
    """

    def __init__(self) -> None:
        self._held = self._came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._held:
            raise KeyboardInterrupt
        self._came = True

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A signal that comes within the block is raised at its end."""
        self._held = True
        try:
            yield
        finally:
            self._held, came, self._came = False, self._came, False
            if came:
                raise KeyboardInterrupt


_interrupts = _Interrupts()


class Child:
    """One program in a process group of its own, so that a terminal's ctrl-C reaches the parent alone."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._command = list(command)
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it anew; its output is added to the log."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log, _interrupts.held():
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def require_alive(self) -> None:
        """Raises LaunchError with the log's end where the program has ended."""
        if not self.alive:
            code = self._process.returncode if self._process else None
            raise LaunchError(
                f"{self.name} has ended (exit status {code}); the end of {self._log}:\n{self.tail()}"
            )

    def peak_memory_mb(self) -> int:
        """The most memory it ever held, in MB (the kernel's high-water mark of its resident set)."""
        self.require_alive()
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024

    def tail(self) -> str:
        """The last lines that it wrote."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])

    def stop(self) -> None:
        """Ask the whole group to end; after a while, end it."""
        if self._process is None:
            return
        self._signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self.kill()  # also what it started and left behind

    def kill(self) -> None:
        """End the whole group at once, without a chance to save."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # The group outlives its leader as long as one of it runs.
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


@contextlib.contextmanager
def stopped_at_end(children: Sequence[Child]) -> Iterator[None]:
    """Stops `children`, the last first, however the block ends: done, failed, ctrl-C, SIGTERM or SIGHUP."""
    before = {number: signal.signal(number, _interrupts) for number in ENDINGS}
    try:
        yield
    finally:
        # An impatient second ctrl-C must not leave a child behind.
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        for child in reversed(children):
            child.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def require_free(port: int, kind: socket.SocketKind, option: str) -> None:
    """Raises LaunchError where another program of this machine holds `port`."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            protocol = "TCP" if kind == socket.SOCK_STREAM else "UDP"
            raise LaunchError(
                f"{protocol} port {port} is taken: stop what holds it, or choose another by {option}"
            ) from error


def free_port(kind: socket.SocketKind) -> int:
    """A port of loopback that nobody held a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
