"""Children end with their parent's block, whatever ends it; ports taken are told."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from townsfolk.demo.children import Child, _Interrupts, free_port, require_free, stopped_at_end
from townsfolk.errors import LaunchError

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
FAMILY = ["sh", "-c", "sleep 60 & echo $!; wait"]


def wait_until_said(log: Path, seconds: float = 10) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if log.exists() and "\n" in log.read_text():
            return log.read_text()
        time.sleep(0.02)
    raise TimeoutError(f"{log} is still empty after {seconds} s")


def is_alive(pid: int) -> bool:
    """Whether it runs; one that has ended but was not yet collected by its parent does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False


def ends(pid: int) -> bool:
    """Whether it is gone within moments: the kernel takes its time to carry a signal out."""
    deadline = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_alive(pid)


def test_block_ends_its_children_and_theirs(tmp_path: Path) -> None:
    child = Child("family", FAMILY, tmp_path / "log")
    with stopped_at_end([child]):
        child.start()
        grandchild = int(wait_until_said(tmp_path / "log"))
        assert child.alive
    assert not child.alive
    assert ends(grandchild)


def test_child_that_ended_is_told_with_its_last_words(tmp_path: Path) -> None:
    child = Child("the fool", ["sh", "-c", "echo no such thing; exit 3"], tmp_path / "log")
    child.start()
    wait_until_said(tmp_path / "log")
    child.stop()
    with pytest.raises(LaunchError, match=r"the fool has ended \(exit status 3\).*\nno such thing"):
        child.require_alive()


def test_child_can_be_started_again_after_a_kill(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEPER, tmp_path / "log")
    child.start()
    child.kill()
    assert not child.alive
    child.start()
    assert child.alive
    child.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_parent_leave_no_child(tmp_path: Path, number: signal.Signals) -> None:
    program = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from townsfolk.demo.children import Child, stopped_at_end
        child = Child("family", {FAMILY!r}, Path({str(tmp_path / "log")!r}))
        try:
            with stopped_at_end([child]):
                child.start()
                time.sleep(60)
        except KeyboardInterrupt:
            print("left in order")
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        grandchild = int(wait_until_said(tmp_path / "log"))
        os.kill(parent.pid, number)
        told, _ = parent.communicate(timeout=30)
    assert told.strip() == "left in order"
    assert ends(grandchild)


@pytest.mark.parametrize(
    ("kind", "protocol"), [(socket.SOCK_STREAM, "TCP"), (socket.SOCK_DGRAM, "UDP")], ids=["tcp", "udp"]
)
def test_taken_port_is_told_with_the_way_out(kind: socket.SocketKind, protocol: str) -> None:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(LaunchError, match=rf"{protocol} port {port} is taken.*--some-port"):
            require_free(port, kind, "--some-port")
    require_free(free_port(kind), kind, "--some-port")


def test_peak_memory_is_read_from_the_kernel(tmp_path: Path) -> None:
    eat = "import time; held = bytearray(60_000_000); time.sleep(60)"
    child = Child("eater", [sys.executable, "-c", eat], tmp_path / "log")
    child.start()
    with stopped_at_end([child]):
        deadline = time.monotonic() + 10
        while child.peak_memory_mb() < 50:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_signal_while_a_program_starts_is_raised_once_it_is_noted() -> None:
    interrupts, noted = _Interrupts(), []

    def start() -> None:
        with interrupts.held():
            interrupts(signal.SIGINT, None)
            noted.append("started")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert noted == ["started"]
    with pytest.raises(KeyboardInterrupt):
        interrupts(signal.SIGINT, None)
