"""The Luanti server of this machine, and the world and settings it is given.

Knows Luanti's file names, folders and settings; knows nothing of processes, and starts none that stays.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from townsfolk.errors import LaunchError

SERVERS = ("luantiserver", "minetestserver", "luanti", "minetest")
CLIENTS = ("luanti", "minetest")
FOLDERS = ("/usr/games", "/usr/local/games")
"""Where Debian puts programs that a service's PATH often lacks."""
GAME = "minetest_game"
GAME_IDS = ("minetest_game", "minetest")
"""The engine drops the suffix `_game` from an id."""
BACKENDS = ("backend", "player_backend", "auth_backend", "mod_storage_backend")
REPOSITORY = Path(__file__).resolve().parents[3]
MODS = (REPOSITORY / "mod" / "townsfolk", REPOSITORY / "mod" / "townsfolk_village")


@dataclass(frozen=True)
class Luanti:
    """A server that is there and has the game."""

    binary: Path

    def command(self, world: Path, port: int) -> list[str]:
        """The command that serves `world` on UDP `port`, as laid out by `lay_out`."""
        return [
            str(self.binary),
            *(["--server"] if self.binary.name in CLIENTS else []),
            *("--world", str(world), "--gameid", GAME, "--port", str(port)),
            *("--config", str(world / "minetest.conf"), "--logfile", "", "--color", "never"),
        ]


def find(named: Path | None = None) -> Luanti:
    """The server called `named`, or the first of this machine.

    Raises:
        LaunchError: there is none, or it has no `minetest_game`.
    """
    binary = named or _first(SERVERS)
    if binary is None or not os.access(binary, os.X_OK):
        raise LaunchError(f"no Luanti server found ({named or ', '.join(SERVERS)}): install minetest-server")
    command = [str(binary), *(["--server"] if binary.name in CLIENTS else []), "--gameid", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if not set(GAME_IDS) & set(listed):
        raise LaunchError(
            f"{binary} has no {GAME} (it has: {', '.join(listed) or 'none'}): install it in its games folder"
        )
    return Luanti(binary)


def _first(names: Sequence[str]) -> Path | None:
    path = os.pathsep.join((os.environ.get("PATH", ""), *FOLDERS))
    found = (shutil.which(name, path=path) for name in names)
    return next((Path(binary) for binary in found if binary), None)


def lay_out(world: Path, service_url: str, **settings: object) -> None:
    """Make the folder `world` one that the server can start: game, mods and settings; its map is kept.

    Raises:
        LaunchError: the mods are not beside this package, so it is no checkout.
    """
    for mod in MODS:
        if not mod.is_dir():
            raise LaunchError(f"{mod} is not there: run scripts/play from a checkout of the repository")
    for mod in MODS:
        copy = world / "worldmods" / mod.name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(mod, copy)
    if not (world / "world.mt").exists():
        lines = {"gameid": GAME, **dict.fromkeys(BACKENDS, "sqlite3")}
        (world / "world.mt").write_text(_lines(lines), encoding="utf-8")
    (world / "minetest.conf").write_text(_lines({**_settings(service_url), **settings}), encoding="utf-8")


def _settings(service_url: str) -> dict[str, object]:
    return {
        "bind_address": "127.0.0.1",
        "server_announce": "false",
        "server_name": "Townsfolk demo village",
        "max_users": 8,
        "default_privs": "interact, shout",
        "creative_mode": "false",
        "enable_damage": "true",
        "secure.http_mods": "townsfolk",
        "townsfolk.service_url": service_url,
        "townsfolk_village.status": "true",
        "mg_name": "flat",
        "mg_flags": "caves, nodungeons, light, decorations, biomes",
        "mgflat_spflags": "nohills, nolakes",
        "fixed_map_seed": 4,
        "time_speed": 24,
        "active_object_send_range_blocks": 4,
        "active_block_range": 4,
    }


def _lines(settings: Mapping[str, object]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in settings.items())
