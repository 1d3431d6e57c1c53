"""Keeps a village open for visitors, or open for one selftest.

Knows the order of things: look first, make then, tell, and clear away.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.panel import Panel

from townsfolk.demo import luanti
from townsfolk.demo.children import stopped_at_end
from townsfolk.demo.report import Report, print_summary
from townsfolk.demo.village import HOST, NEEDED_BYTES, Ports, Status, Village
from townsfolk.errors import LaunchError

WATCH_SECONDS = 0.5
SELFTEST_SETTINGS = {
    "default_privs": "interact, shout, teleport, townsfolk",
    "chat_message_limit_per_10sec": 100,  # the visitor hurries, and its teleports are messages too
    "time_speed": 0,
}


@dataclass(frozen=True)
class Place:
    """What a village is made with."""

    model: Path
    logs: Path
    server: Path | None = None


def host(world: Path, ports: Ports, place: Place, console: Console) -> None:
    """Keep the village open until ctrl-C; its world is left as it is then.

    Raises:
        LaunchError: something it needs is not there, or one of its processes has ended.
    """
    village = _prepare(world, ports, place)
    ports.require_free()
    village.lay_out()
    try:
        with stopped_at_end(village.children):
            with _progress(console, "starting the service"):
                village.start_service()
            with _progress(console, "starting the game"):
                village.start_game()
            console.print(_invitation(village))
            _watch(village)
    except KeyboardInterrupt:
        console.print(f"stopped; the world is kept in {world}")


def run_selftest(runs: Path, place: Place, console: Console) -> Report:
    """The selftest on free ports and in a world under `runs` that is thrown away at the end."""
    from townsfolk.demo.selftest import Selftest  # needs a package that visitors do not

    runs.mkdir(parents=True, exist_ok=True)
    world = Path(tempfile.mkdtemp(prefix="selftest-", dir=runs))
    try:
        village = _prepare(world, Ports.free(), place)
        village.lay_out(**SELFTEST_SETTINGS)
        with stopped_at_end(village.children):
            report = Selftest(village, console).run()
    finally:
        shutil.rmtree(world, ignore_errors=True)
    print_summary(console, report)
    return report


def _prepare(world: Path, ports: Ports, place: Place) -> Village:
    """Look that all is there, before anything is made."""
    if not place.model.is_file():
        raise LaunchError(
            f"base model {place.model} is not there: run `townsfolk models pull`, or give --model"
        )
    server = luanti.find(place.server)
    existing = next(folder for folder in (world, *world.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < NEEDED_BYTES:
        raise LaunchError(
            f"a world needs {NEEDED_BYTES // 10**6} MB in {existing}, "
            f"where {free // 10**6} MB are free: make room, then start again"
        )
    return Village(world, ports, place.model, server, place.logs)


@contextmanager
def _progress(console: Console, what: str) -> Iterator[None]:
    started = time.monotonic()
    with console.status(what):
        yield
    console.print(f"{what}: ready in {time.monotonic() - started:.1f} s")


def _watch(village: Village) -> None:
    while True:
        for child in village.children:
            child.require_alive()
        time.sleep(WATCH_SECONDS)


def _invitation(village: Village) -> Panel:
    port = village.ports.game
    return Panel(
        f"[bold]Join[/]: in the client's menu Join Game, {HOST}, port {port}, any name; or\n"
        f"     luanti --go --address {HOST} --port {port} --name yourname\n"
        "     (before 5.10 the program is called minetest)\n"
        f"[bold]Here live[/] {_people(village.status())}\n"
        "[bold]Try[/]: Hello Wren! · Brita, where is the well? · Tam, follow me\n"
        '     /ai say "what do you sell?" · /ai rate up · /ai help · right-click one\n'
        f"[bold]The service[/]: http://{HOST}:{village.ports.http}/docs\n"
        f"[bold]The console[/]: http://{HOST}:{village.ports.http}/console/, "
        f"log in with the token in {village.console_token}\n"
        f"[bold]World[/]: {village.world}; ctrl-C stops everything and leaves it",
        title="The village is open",
        expand=False,
    )


def _people(status: Status) -> str:
    return ", ".join(f"{one.name} the {one.persona}" for one in status.villagers)
