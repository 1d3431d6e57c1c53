"""A real Luanti server on a free UDP port and a throw-away world, for the tests that need one.

Knows how to lay out a world, start the server, follow its log and stop it; it knows nothing of
what the mods in it do. A world may be started again after `stop()`: what was saved is still there.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

REPOSITORY = Path(__file__).resolve().parents[2]
TOWNSFOLK_MOD = REPOSITORY / "mod" / "townsfolk"
TEST_MODS = Path(__file__).parent / "mods"
BINARIES = ("luantiserver", "minetestserver", "luanti", "minetest")
READY = r"listening on"
BACKENDS = ("backend", "player_backend", "auth_backend", "mod_storage_backend")
POLL_SECONDS = 0.1

DEFAULT_SETTINGS: Mapping[str, object] = {
    "bind_address": "127.0.0.1",
    "server_announce": "false",
    "mg_name": "singlenode",
    "fixed_map_seed": 1,
    "time_speed": 0,
    "creative_mode": "false",
    "enable_damage": "true",
    "disallow_empty_password": "false",
    "secure.http_mods": "townsfolk",
}


def find_binary() -> Path:
    """The server of this machine; `TOWNSFOLK_LUANTI` names another."""
    named = os.environ.get("TOWNSFOLK_LUANTI")
    if named:
        return Path(named)
    for name in BINARIES:
        found = shutil.which(name) or shutil.which(name, path="/usr/games:/usr/local/games")
        if found:
            return Path(found)
    raise FileNotFoundError("no Luanti server found: install minetest-server, or set TOWNSFOLK_LUANTI")


def free_udp_port() -> int:
    """A port that nobody held a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LuantiServer:
    """One server process; a context manager that starts it and stops it.

    `directory` holds the world, the log and the configuration. `mods` are folders that are copied
    into the world; `settings` overrule `DEFAULT_SETTINGS`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        game: str = "minetest_game",
        mods: Sequence[Path] = (TOWNSFOLK_MOD,),
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.directory = directory
        self.world = directory / "world"
        self.log_path = directory / "server.log"
        self.game = game
        self.mods = tuple(mods)
        self.settings = {**DEFAULT_SETTINGS, **(settings or {})}
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "LuantiServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, ready: str = READY, timeout: float = 60) -> None:
        """Start and wait until the log matches `ready`; raises with the log's end otherwise."""
        self._write_world()
        self.port = free_udp_port()
        command = [
            str(find_binary()),
            *(["--server"] if find_binary().name in ("luanti", "minetest") else []),
        ]
        command += ["--world", str(self.world), "--gameid", self.game, "--port", str(self.port)]
        command += ["--config", str(self.directory / "server.conf"), "--logfile", str(self.log_path)]
        with (self.directory / "console.log").open("ab") as console:
            self.process = subprocess.Popen(command, stdout=console, stderr=console)
        try:
            self.wait_for(ready, timeout)
        except BaseException:
            self.stop()
            raise

    def _write_world(self) -> None:
        self.world.mkdir(parents=True, exist_ok=True)
        lines = (f"{name} = {value}\n" for name, value in self.settings.items())
        (self.directory / "server.conf").write_text("".join(lines), encoding="utf-8")
        world_mt = self.world / "world.mt"
        if not world_mt.exists():
            backends = "".join(f"{kind} = sqlite3\n" for kind in BACKENDS)
            world_mt.write_text(f"gameid = {self.game}\n{backends}", encoding="utf-8")
        for mod in self.mods:
            shutil.copytree(mod, self.world / "worldmods" / mod.name, dirs_exist_ok=True)
        self.log_path.write_text("", encoding="utf-8")

    def log(self) -> str:
        """All that the server has logged since its last start."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, pattern: str, timeout: float = 30) -> re.Match[str]:
        """Wait until the log matches; the match. Raises with the log's end otherwise."""
        deadline = time.monotonic() + timeout
        while True:
            ended = self.process is not None and self.process.poll() is not None
            match = re.search(pattern, self.log())
            if match:
                return match
            if ended:
                raise ChildProcessError(f"the server ended before {pattern!r} was logged:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{pattern!r} was not logged within {timeout} s:\n{self._tail()}")
            time.sleep(POLL_SECONDS)

    def wait_end(self, timeout: float = 120) -> int:
        """Wait until the server ends by itself; its exit status."""
        if self.process is None:
            raise ValueError("the server was never started: call start() first")
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise TimeoutError(f"the server still ran after {timeout} s:\n{self._tail()}") from None

    def stop(self, timeout: float = 20) -> None:
        """Ask it to save and end; killed if it does not."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _tail(self, lines: int = 30) -> str:
        return "\n".join(self.log().splitlines()[-lines:])
