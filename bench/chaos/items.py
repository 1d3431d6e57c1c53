"""A real game killed with -9 while items go round between a real player, villagers, the ground and the map.

After each restart there have to be as many of each as before: `townsfolk_market` plays, and counts. The
service is away: what is tried is the game's own half.
"""

import json
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.promises import Row
from server import TEST_MODS, TOWNSFOLK_MOD, LuantiServer
from townsfolk.demo.player import Player

HOST, PLAYER = "127.0.0.1", "sam"
SAVE_S, LIFE_S = 3.0, 9.0
"""The game saves map and players this often; the longest that it lives once the market is open."""
READY_S, ANSWER_S = 120.0, 60.0
GONE_S, LEAVES = 1.0, 0.3
"""How long a player may be gone before the kill, and how often they are: who leaves is saved at once."""
SETTLE_S = 2.0
"""So long after the player has come, all that lies there is there."""
SETTINGS = {
    "server_map_save_interval": SAVE_S,
    "enable_damage": "false",
    "townsfolk.service_url": f"http://{HOST}:9",
    "townsfolk.script_after": 100_000,
    "townsfolk.action_burst": 1_000,
    "townsfolk.actions_per_second": 1_000,
}


@dataclass(frozen=True)
class Counts:
    """How many there are of each, wherever they are."""

    dirt: int
    gold: int

    def less(self, other: "Counts") -> int:
        """How many of the other's are missing here."""
        return max(0, other.dirt - self.dirt) + max(0, other.gold - self.gold)


def items_killed(folder: Path, rounds: int, chance: random.Random, mod: Path = TOWNSFOLK_MOD) -> Row:
    """While a player and villagers trade, and villagers dig, place and pick up."""
    server = lay_out(folder, mod)
    with market(server) as sam:
        before = count(sam)
    server.stop()
    lost = doubled = survived = deeds = 0
    for number in range(rounds + 1):
        with market(server) as sam:
            there = count(sam)
            lost, doubled = lost + there.less(before), doubled + before.less(there)
            survived += number > 0 and there == before
            before = there
            if number < rounds:
                deeds += _trade_and_die(server, sam, chance)
    server.stop()
    note = f"{lost} lost, {doubled} doubled, {deeds} deeds"
    return Row("items_killed", rounds, survived, lost + doubled, note=note)


def lay_out(folder: Path, mod: Path) -> LuantiServer:
    """A world whose rules have no limits: a market's day has more deeds than a village's year."""
    server = LuantiServer(folder, mods=(mod, TEST_MODS / "townsfolk_market"), settings=SETTINGS)
    server.world.mkdir(parents=True)
    rules = json.loads((mod / "rules.json").read_text(encoding="utf-8")) | {"limits": {}}
    (server.world / "townsfolk_rules.json").write_text(json.dumps(rules), encoding="utf-8")
    return server


@contextmanager
def market(server: LuantiServer) -> Iterator[Player]:
    """The game with the player in it."""
    server.start(r"\[market\] ready", READY_S)
    with Player.join(HOST, server.port, PLAYER) as sam:
        yield sam


def count(sam: Player) -> Counts:
    time.sleep(SETTLE_S)
    sam.say("/market count")
    found = re.search(r"(\d+) dirt, (\d+) gold", sam.wait_for_chat("market: ", ANSWER_S))
    assert found
    return Counts(*map(int, found.groups()))


def _trade_and_die(server: LuantiServer, sam: Player, chance: random.Random) -> int:
    """How much was done until the game was killed."""
    sam.say("/market open")
    sam.wait_for_chat("market: ", ANSWER_S)
    time.sleep(chance.uniform(0, LIFE_S))
    if chance.random() < LEAVES:
        sam.leave()
        time.sleep(chance.uniform(0, GONE_S))
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    return server.log().count("[market] done")
