"""A real Luanti server in which players show a pattern, and in which a villager with blocks is left alone.

The pattern: a block on the ground, four steps east, a block, and so on. It refuses to know who learns of it.
"""

import random
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from server import TEST_MODS, TOWNSFOLK_MOD, LuantiServer
from townsfolk.demo.player import Player
from townsfolk.types import Position

BLOCKS = ("default:cobble", "default:wood", "default:stonebrick", "default:brick")
NEW_BLOCK = "default:junglewood"
"""Which nobody learns from."""
GIVEN, STEP = 10, 4
FEWEST, MOST = 5, 8
OTHER_ITEM = "farming:bread"
GROUND, APART, SPREAD = 8, 60, 200
SETTLED_S, SOON = 0.7, 20
"""Seconds from one deed to the next; for anything that the game tells."""
SEEN_S = 2
"""Until a client has been told of who has just come."""
WATCHER, VILLAGER = "sam", "Tam"
NEAREST, FARTHEST, ASIDE = 3, 7, 4
"""Nodes from one block of a row to the next: eastwards, to either side."""
PLACE = re.compile(r"\((-?\d+),(-?\d+),(-?\d+)\)")


@dataclass(frozen=True)
class Demo:
    """One recording.

    Attributes:
        site: its number; sites are too far apart to see each other.
        count: how many blocks are placed.
        beside: where each is placed, counted from the player.
        fed: other things are carried, too.
        watched: somebody stands by.
    """

    player: str
    site: int
    east: int
    block: str
    count: int
    beside: tuple[int, int]
    fed: bool
    watched: bool


def drawn(players: Sequence[str], blocks: Sequence[str], seed: int) -> list[Demo]:
    """A demonstration by each player, no two alike."""
    chance = random.Random(seed)
    return [
        Demo(
            player,
            site=site,
            east=chance.randint(-SPREAD, SPREAD),
            block=blocks[site % len(blocks)],
            count=chance.randint(FEWEST, MOST),
            beside=(chance.choice((1, 2)), chance.choice((-1, 1))),
            fed=site % 2 == 1,
            watched=site % 3 == 1,
        )
        for site, player in enumerate(players)
    ]


def show(folder: Path, service_url: str, demos: Sequence[Demo]) -> None:
    """Record all of `demos`."""
    with _game(folder, service_url, tick_s=600) as (server, watcher):
        for demo in track(demos, "recording", total=len(demos)):
            with Player.join("127.0.0.1", server.port, demo.player) as player:
                _show(demo, player, watcher)


def left_alone(folder: Path, service_url: str, seconds: int, tick_s: float) -> list[tuple[int, int, int]]:
    """Where a villager that has blocks and is asked nothing has placed some after so many seconds."""
    with _game(folder, service_url, tick_s) as (_, watcher):
        feet = _go(watcher, east=0, site=0)
        _told(watcher, "/scenery 1", "scenery 1 is laid out")
        _told(watcher, f"/ai spawn {VILLAGER} builder", f"{VILLAGER} the builder is here")
        _told(watcher, f"/giveme {NEW_BLOCK} {GIVEN}", "added to inventory")
        time.sleep(SEEN_S)
        watcher.right_click(watcher.position, sneak=True)
        watcher.wait_for_chat(f"^<{VILLAGER}>", SOON)  # it thanks
        watcher.teleport(Position(x=feet.x, y=feet.y, z=feet.z - 6), SOON)
        before = _blocks(watcher)
        for _ in track(range(seconds), f"{folder.name}: left alone"):
            time.sleep(1)
        return sorted(_blocks(watcher) - before)


def in_row(blocks: Sequence[tuple[int, int, int]]) -> int:
    """The most of `blocks` that stand in a row: each some nodes east of the one before."""
    longest: dict[tuple[int, int, int], int] = {}
    for block in sorted(blocks):
        before = (length for other, length in longest.items() if _follows(block, other))
        longest[block] = 1 + max(before, default=0)
    return max(longest.values(), default=0)


def _follows(block: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return NEAREST <= block[0] - other[0] <= FARTHEST and abs(block[2] - other[2]) <= ASIDE


@contextmanager
def _game(folder: Path, service_url: str, tick_s: float) -> Iterator[tuple[LuantiServer, Player]]:
    """A flat and empty world, and the player who looks after it."""
    settings = {
        "mg_name": "flat",
        "mgflat_ground_level": GROUND,
        "mg_flags": "nocaves, nodungeons, nodecorations",
        "name": WATCHER,
        "default_privs": "interact, shout, teleport, give",
        "disable_anticheat": "true",
        "chat_message_limit_per_10sec": 1000,
        "townsfolk.service_url": service_url,
        "townsfolk.tick_seconds": tick_s,
    }
    mods = (TOWNSFOLK_MOD, TEST_MODS / "townsfolk_eyes")
    with LuantiServer(folder, mods=mods, settings=settings) as server:
        server.wait_for("connected to the service", SOON)
        with Player.join("127.0.0.1", server.port, WATCHER) as watcher:
            yield server, watcher


def _show(demo: Demo, player: Player, watcher: Player) -> None:
    feet = _go(player, demo.east, demo.site)
    if demo.watched:
        watcher.teleport(Position(x=feet.x + STEP, y=feet.y, z=feet.z - 4), SOON)
    _told(player, f"/scenery {demo.site + 1}", "is laid out")
    _told(player, f"/giveme {demo.block} {demo.count}", "added to inventory")
    if demo.fed:
        _told(player, f"/giveme {OTHER_ITEM} 2", "added to inventory")
    _told(player, f"/ai demo start row{demo.site}", "Recording row")
    for number in range(demo.count):
        if number:
            player.walk(player.position.model_copy(update={"x": feet.x + number * STEP}))
            _settle(player)
        above = Position(
            x=feet.x + number * STEP + demo.beside[0], y=round(feet.y), z=feet.z + demo.beside[1]
        )
        player.place(above.model_copy(update={"y": above.y - 1}), above)
        _settle(player)
    _told(player, "/ai demo stop", f"Recorded row{demo.site}: {demo.count} place, {demo.count - 1} move")


def _settle(player: Player) -> None:
    """Until the game has seen what was done: however slow the machine is, two steps of the server later."""
    for _ in range(2):
        time.sleep(SETTLED_S / 2)
        _told(player, f"/node ({player.position.x:.0f},{GROUND},0)", "^node ")


def _go(player: Player, east: int, site: int) -> Position:
    """To a site, once it is there; the feet's place."""
    time.sleep(1)  # else what tells the place of joining may come after the teleport
    to = Position(x=east, y=GROUND + 0.5, z=site * APART)
    player.teleport(to, SOON)
    ground, until = f"({to.x:.0f},{GROUND},{to.z:.0f})", time.monotonic() + SOON
    while "ignore" in _told(player, f"/node {ground}", r"^node .* is "):
        if time.monotonic() > until:
            raise TimeoutError(f"no ground at {ground} within {SOON} s")
        time.sleep(SETTLED_S)
    return to.model_copy(update={"y": GROUND + 1})


def _blocks(player: Player) -> set[tuple[int, int, int]]:
    told = _told(player, f"/blocks {NEW_BLOCK}", "^blocks ")
    return {(int(x), int(y), int(z)) for x, y, z in PLACE.findall(told)}


def _told(player: Player, line: str, pattern: str) -> str:
    player.say(line)
    return player.wait_for_chat(pattern, SOON)
