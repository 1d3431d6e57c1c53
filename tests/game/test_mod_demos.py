"""Demonstrations in a real server: a real player shows how a wall is built, a villager repeats it elsewhere.

`contract_service.py` validates what the service is told; `townsfolk_eyes` lets the test see the nodes.
"""

import re
import time
from collections.abc import Iterator

import pytest
from contract_service import ContractService

from server import TEST_MODS, TOWNSFOLK_MOD, LuantiServer
from townsfolk.demo.player import Player
from townsfolk.types import EventKind, Position

pytestmark = pytest.mark.game

SOON = 10
BUILT = 90
WOOD, GRASS, DIRT = "default:wood", "default:dry_dirt_with_dry_grass", "default:dry_dirt"
WALL = ((2, 0, 0), (2, 1, 0), (3, 0, 0))
"""Nodes of the wall, counted from the player's feet; each is placed on the one below."""
PIT = (0, -1, 3)
GROUND = 8


class Show:
    """A server with its service, a player `sam`, and the villager Tam."""

    def __init__(self, server: LuantiServer, service: ContractService, sam: Player) -> None:
        self.server = server
        self.service = service
        self.sam = sam
        time.sleep(1)  # else what tells the place of joining may come after the teleport
        sam.teleport(Position(x=0, y=GROUND + 0.5, z=0))
        self.began = _feet(sam.position)

    def told(self, line: str, pattern: str, seconds: float = SOON) -> str:
        self.sam.say(line)
        return self.sam.wait_for_chat(pattern, seconds)

    def node(self, at: Position) -> str:
        return self.told(f"/node {_words(at)}", r"^node .* is ").rsplit(" ", 1)[1]

    def carried(self, item: str) -> int:
        return int(self.told(f"/carried Tam {item}", r"^Tam carries").rsplit(" ", 1)[1])

    def go(self, x: float) -> Position:
        """To `x` nodes east of where the demonstration began; the feet's node there."""
        self.sam.teleport(Position(x=self.began.x + x, y=self.began.y, z=self.began.z))
        return _feet(self.sam.position)


def _feet(at: Position) -> Position:
    return Position(x=round(at.x), y=round(at.y + 0.1), z=round(at.z))


def _beside(at: Position, offset: tuple[int, int, int]) -> Position:
    return Position(x=at.x + offset[0], y=at.y + offset[1], z=at.z + offset[2])


def _words(at: Position) -> str:
    return f"({at.x:.0f},{at.y:.0f},{at.z:.0f})"


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    service = ContractService()
    service.start()
    settings = {
        "mg_name": "flat",
        "mgflat_ground_level": GROUND,
        "mg_flags": "nocaves, nodungeons, nodecorations",
        "name": "sam",
        "default_privs": "interact, shout, teleport, give",
        "disable_anticheat": "true",
        "chat_message_limit_per_10sec": 1000,
        "townsfolk.service_url": f"http://127.0.0.1:{service.port}",
        "townsfolk.tick_seconds": 600,
    }
    mods = (TOWNSFOLK_MOD, TEST_MODS / "townsfolk_eyes")
    directory = tmp_path_factory.mktemp("demos")
    with LuantiServer(directory, mods=mods, settings=settings) as server:
        with Player.join("127.0.0.1", server.port, "sam") as sam:
            show = Show(server, service, sam)
            show.told("/ai spawn Tam builder", "Tam the builder is here")
            yield show
        assert "ModError" not in server.log()
    service.stop()
    assert not service.faults, service.faults[0]


@pytest.fixture(scope="module")
def shown(show: Show) -> Show:
    """Sam has shown how the wall is built, and where to dig."""
    show.told(f"/giveme {WOOD} 10", "added to inventory")
    show.told("/ai demo start wall", "Recording wall.*Tam watches")
    for offset in WALL:
        above = _beside(show.began, offset)
        show.sam.place(_beside(above, (0, -1, 0)), above)
        time.sleep(0.5)
    show.sam.dig(_beside(show.began, PIT))
    time.sleep(0.5)
    show.sam.teleport(_beside(show.began, (0, 0, 5)))
    time.sleep(0.5)
    show.sam.say("Like this.")
    show.told("/ai demo stop", "Recorded wall: 3 place, 1 dig, 1 move, 1 say")
    return show


def test_each_step_is_told_with_what_was_seen_before_it(shown: Show) -> None:
    deadline = time.monotonic() + SOON
    while len(shown.service.demo_steps) < 6 and time.monotonic() < deadline:
        time.sleep(0.1)
    steps = shown.service.demo_steps
    done = [f"place {WOOD}"] * 3 + [f"dig {GRASS}", "move_north", 'say "Like this."']
    assert [step.action for step in steps] == done
    assert [(step.place.x, step.place.y, step.place.z) for step in steps[:4]] == [*WALL, PIT]
    seen = [step.observation for step in steps]
    carried = [next(stack.count for stack in one.me.inventory) for one in seen if one.me]
    assert carried == [10, 9, 8, 7, 7, 7]
    assert {one.persona for one in seen} == {"builder"}
    assert "Tam" in {thing.name for thing in seen[0].around.things} if seen[0].around else False
    assert [event.kind for event in seen[1].events] == [EventKind.ARRIVED, EventKind.TICK]


def test_commands_say_what_to_do(shown: Show) -> None:
    shown.go(10)
    for line, told in (
        ("/ai demo", "Usage: /ai demo start"),
        ("/ai demo stop", "/ai demo start"),
        ("/ai demo start no spaces", "one word"),
        ("/ai demo list", "^wall: 3 place, 1 dig, 1 move, 1 say"),
        ("/ai demo replay", r"Usage: /ai demo replay"),
        ("/ai demo replay tower", "no demonstration called tower.*list"),
        ("/ai demo replay wall nobody", "No villager is called.*list"),
        ("/ai demo replay wall Tam", rf"Tam needs 3 {WOOD} more.*right-click"),
    ):
        shown.told(line, told)


def test_a_villager_builds_what_was_shown(shown: Show) -> None:
    shown.sam.right_click(shown.sam.position, sneak=True)
    shown.told("/ai list", "Tam")
    assert shown.carried(WOOD) == 7
    here = shown.go(10)
    shown.told("/ai demo replay wall Tam", "Tam begins wall")
    shown.sam.wait_for_chat(r"^<Tam> Like this\.", BUILT)
    shown.sam.wait_for_chat("Tam is done with wall", SOON)
    assert [shown.node(_beside(here, offset)) for offset in WALL] == [WOOD] * 3
    assert shown.node(_beside(here, PIT)) == "air"
    assert shown.carried(WOOD) == 4
    assert shown.carried(DIRT) == 1


def test_what_stands_needs_nothing(shown: Show) -> None:
    shown.go(10)
    shown.told("/ai demo replay wall Tam", "Tam begins wall")
    shown.sam.wait_for_chat("Tam is done with wall", BUILT)
    assert shown.carried(WOOD) == 4


def test_what_is_crafted_takes_what_the_recipe_takes(shown: Show) -> None:
    shown.told("/giveme default:tree 2", "added to inventory")
    shown.told("/ai demo start planks", "Recording planks")
    shown.sam.craft()
    time.sleep(0.5)
    shown.told("/ai demo stop", "Recorded planks: 1 craft")
    shown.told("/ai demo replay planks Tam", "Tam needs 1 default:tree more")
    tam = shown.began.model_copy(update={"x": shown.began.x + 10})
    shown.sam.right_click(tam, sneak=True)
    before = shown.carried(WOOD)
    assert shown.carried("default:tree") == 1
    shown.told("/ai demo replay planks Tam", "Tam begins planks")
    shown.sam.wait_for_chat("Tam is done with planks", SOON)
    assert (shown.carried(WOOD), shown.carried("default:tree")) == (before + 4, 0)


def test_protection_holds_and_the_rest_is_told(shown: Show) -> None:
    here = shown.go(20)
    shown.told(f"/protect {_words(_beside(here, WALL[1]))}", "protected")
    shown.told("/ai demo replay wall Tam", "Tam begins wall")
    stopped = shown.sam.wait_for_chat("Tam stopped at step", BUILT)
    assert re.search(rf"step 2 of 6 \(place {WOOD}\).*is protected", stopped)
    assert shown.node(_beside(here, WALL[0])) == WOOD
    assert shown.node(_beside(here, WALL[1])) == "air"
    assert shown.carried(WOOD) == 7


def test_replay_needs_no_service(shown: Show) -> None:
    shown.service.stop()
    shown.go(0)
    here = shown.go(-10)
    shown.told("/ai demo replay wall Tam", "Tam begins wall")
    shown.sam.wait_for_chat("Tam is done with wall", BUILT)
    assert [shown.node(_beside(here, offset)) for offset in WALL] == [WOOD] * 3
    assert shown.carried(WOOD) == 4


def test_forget_me_asks_and_forgets(shown: Show) -> None:
    shown.told("/ai forget", "Usage: /ai forget me")
    shown.told("/ai forget me", "/ai forget me yes")
    shown.told("/ai demo list", "wall: 3 place")
    shown.told("/ai forget me yes", "The game has forgotten you.*as soon as it answers")
    shown.service.start()
    shown.sam.wait_for_chat("The service has forgotten you", SOON)
    shown.told("/ai demo list", "shown nothing yet")
    assert [entry for entry in shown.service.forgotten if "sam" in str(entry)]
