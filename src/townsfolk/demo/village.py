"""The demo village running: one service, one game server, and what the village tells of itself.

Knows how the two are started and when they are ready; knows nothing of players or of what villagers say.
"""

import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from townsfolk.config import ConsoleSettings
from townsfolk.demo import luanti
from townsfolk.demo.children import Child, free_port, require_free
from townsfolk.errors import LaunchError
from townsfolk.types import Position

STATUS_FILE = "townsfolk_village.json"
NEEDED_BYTES = 200_000_000
POLL_SECONDS = 0.1
SERVICE_SECONDS = 120
GAME_SECONDS = 90
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    """TCP for the service, UDP for the game."""

    http: int = 8123
    grpc: int = 50_051
    game: int = 30_000

    @classmethod
    def free(cls) -> "Ports":
        return cls(free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM))

    def require_free(self) -> None:
        """Raises LaunchError that names the first one taken."""
        require_free(self.http, socket.SOCK_STREAM, "--http-port")
        require_free(self.grpc, socket.SOCK_STREAM, "--grpc-port")
        require_free(self.game, socket.SOCK_DGRAM, "--port")


class VillagerStatus(BaseModel):
    """A villager as the game has it now."""

    name: str
    persona: str
    position: Position
    doing: str = ""


class Status(BaseModel):
    """What the mod `townsfolk_village` writes a few times a second."""

    ready: bool
    connected: bool = False
    """The game has the service."""
    by_script: bool = True
    """The villagers do without the service."""
    longest_step: float = 0
    """The longest server step since the start's own work was over, in seconds."""
    max_lag: float = 0
    """The engine's own estimate of its lag, in seconds."""
    spawn: Position | None = None
    villagers: tuple[VillagerStatus, ...] = ()

    def villager(self, name: str) -> VillagerStatus | None:
        return next((one for one in self.villagers if one.name == name), None)


class Village:
    """The two processes over one world; `children` lists them in the order they start."""

    def __init__(self, world: Path, ports: Ports, model: Path, server: luanti.Luanti, logs: Path) -> None:
        self.world = world
        self.ports = ports
        self.store = world / "townsfolk" / "townsfolk.db"
        self.console_token = ConsoleSettings().token_file
        self.service = Child("the service", _service_command(), logs / "service.log", self._settings(model))
        self.game = Child("the game server", server.command(world, ports.game), logs / "game.log")
        self.children = (self.service, self.game)

    def _settings(self, model: Path) -> dict[str, str]:
        folder = self.world / "townsfolk"
        return {
            "TOWNSFOLK_TOKENS_FILE": str(folder / "tokens.json"),  # not the user's: the demo's game has none
            "TOWNSFOLK_CONSOLE__TOKEN_FILE": str(self.console_token),
            "TOWNSFOLK_HTTP__HOST": HOST,
            "TOWNSFOLK_HTTP__PORT": str(self.ports.http),
            "TOWNSFOLK_GRPC__HOST": HOST,
            "TOWNSFOLK_GRPC__PORT": str(self.ports.grpc),
            "TOWNSFOLK_ENGINE__MODEL": str(model),
            "TOWNSFOLK_STORE__URL": f"sqlite:///{self.store}",
            "TOWNSFOLK_STORE__SPOOL_DIR": str(folder / "spool"),
            "TOWNSFOLK_STORE__BEHAVIOUR_LOG": str(folder / "behaviour.jsonl"),
        }

    def lay_out(self, **settings: object) -> None:
        """Make the world's folder; `settings` overrule those of the game server."""
        luanti.lay_out(self.world, f"http://{HOST}:{self.ports.http}", **settings)
        self.store.parent.mkdir(exist_ok=True)
        (self.world / STATUS_FILE).unlink(missing_ok=True)

    def start_service(self) -> None:
        """Start the service and wait until it is ready to answer."""
        self.service.start()
        self._wait(self._service_ready, self.service, SERVICE_SECONDS)

    def start_game(self) -> None:
        """Start the game and wait until the village stands, its people are there and the service is found."""
        self.game.start()
        self._wait(self._village_ready, self.game, GAME_SECONDS)

    def status(self) -> Status:
        """The village's last word on itself; `ready` is false before there is one."""
        try:
            return Status.model_validate_json((self.world / STATUS_FILE).read_bytes())
        except (FileNotFoundError, ValidationError):
            return Status(ready=False)

    def _service_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.ports.http}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _village_ready(self) -> bool:
        status = self.status()
        return status.ready and status.connected and bool(status.villagers)

    def _wait(self, ready: Callable[[], bool], child: Child, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            child.require_alive()
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"{child.name} was not ready within {seconds:g} s; its last lines:\n{child.tail()}"
                )
            time.sleep(POLL_SECONDS)


def _service_command() -> list[str]:
    # The game goes first where both want the same core.
    return ["nice", "-n", "5", sys.executable, "-m", "townsfolk.cli", "serve"]
