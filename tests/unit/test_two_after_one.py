"""Villagers after one item: exactly one gets it, and for the same input always the same one.

The service's queue of decisions and the mod's own Lua (`decisions.lua`, `claims.lua`, `execute.lua`) run in
one process; what differs from one interleaving to the next is the order in which turns end and bodies move.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lupa import lua51

from townsfolk.serving.games import GameState
from townsfolk.types import Action, ActionSpec, Decision, Game, StepReply

ROOT = Path(__file__).parents[2]
WORLD = ROOT / "tests" / "game" / "lua" / "one_item.lua"
ITEM = "default:diamond"
INPUTS, ORDERS = 200, 50
"""10,000 interleavings in all."""
STEP_S, STALE_S = 0.1, 12.0
STEPS, WALKING = 4, 4
GAME = Game(game_id="g", actions=(ActionSpec(name="take"),))
LUA = lua51.LuaRuntime()
LUA.execute(
    "local read, known = loadfile, {} function loadfile(f) known[f] = known[f] or read(f) return known[f] end"
)
MAKE_WORLD = LUA.eval("function(file, src) return assert(loadfile(file))(src) end")


@dataclass(frozen=True)
class Wish:
    """What a villager has decided: to take the item, on what it saw at `seen`; it is told in step `step`."""

    villager: str
    seen: float
    step: int

    def decision(self) -> Decision:
        take = Action(name="take", args=(ITEM,))
        return Decision(
            villager_id=self.villager,
            turn_id=f"{self.villager}:{self.seen}:{self.step}",
            part=0,
            done=True,
            snapshot_time=self.seen,
            actions=(take,),
        )


@dataclass(frozen=True)
class Seen:
    """How it ended."""

    taken_by: tuple[str, ...]
    outcomes: tuple[str, ...]


class World:
    """One run of the mod's Lua, from the beginning."""

    def __init__(self, villagers: list[str]) -> None:
        self._world = MAKE_WORLD(str(WORLD), str(ROOT / "mod" / "townsfolk" / "src"))
        for villager in villagers:
            self._world.villager(villager)

    def step(self, now: float, reply: StepReply, bodies: list[str]) -> None:
        told = LUA.table_from(reply.model_dump(mode="json"), recursive=True)
        self._world.step(now, told, LUA.table_from(bodies))

    def seen(self) -> Seen:
        taken, told = self._world.taken_by.values(), self._world.outcomes.values()
        return Seen(tuple(taken), tuple(sorted(told)))


def play(wishes: list[Wish], clock: list[float], chance: random.Random) -> Seen:
    """Tell all wishes, each in its step; within a step turns end, and bodies move, in an order drawn anew."""
    villagers = sorted({wish.villager for wish in wishes})
    world, game = World(villagers), GameState(GAME)
    for number, now in enumerate(clock):
        ended = [wish for wish in wishes if wish.step == number]
        for wish in chance.sample(ended, len(ended)):
            game.put(wish.decision())
        world.step(now, game.ready(), chance.sample(villagers, len(villagers)))
    return world.seen()


def steady(start: float = 1_000.0) -> list[float]:
    return [start + STEP_S * number for number in range(STEPS + WALKING)]


wishes = st.lists(
    st.builds(
        Wish,
        villager=st.sampled_from(("ada", "bo", "cleo", "dov")),
        seen=st.sampled_from((980.0, 990.0, 998.0, 999.5, 1_000.0)),
        step=st.integers(0, STEPS - 1),
    ),
    min_size=2,
    max_size=8,
    unique_by=lambda wish: (wish.villager, wish.step),  # it has one turn at a time
)


@settings(max_examples=INPUTS, suppress_health_check=[HealthCheck.too_slow])
@given(wishes=wishes, seed=st.integers(0, 2**32))
def test_exactly_one_gets_it_and_always_the_same(wishes: list[Wish], seed: int) -> None:
    chance, clock = random.Random(seed), steady()
    ends = {play(wishes, clock, chance) for _ in range(ORDERS)}
    assert len(ends) == 1, ends
    (end,) = ends
    fresh = [wish for wish in wishes if clock[wish.step] - wish.seen <= STALE_S]
    assert len(end.taken_by) == bool(fresh)
    assert set(end.taken_by) <= {wish.villager for wish in fresh}


@settings(max_examples=INPUTS, suppress_health_check=[HealthCheck.too_slow])
@given(
    wishes=wishes,
    jumps=st.lists(st.sampled_from((-3_600.0, -13.0, -0.05, 0.0, 13.0, 3_600.0)), min_size=8, max_size=8),
    seed=st.integers(0, 2**32),
)
def test_clocks_that_jump_let_nobody_act_on_an_old_view(
    wishes: list[Wish], jumps: list[float], seed: int
) -> None:
    clock = [now + sum(jumps[: number + 1]) for number, now in enumerate(steady())]
    end = play(wishes, clock, random.Random(seed))
    fresh = {wish.villager for wish in wishes if 0 <= clock[wish.step] - wish.seen <= STALE_S}
    assert len(end.taken_by) <= 1
    assert set(end.taken_by) <= fresh


@pytest.mark.parametrize("first", [0, 1])
def test_who_saw_it_first_gets_it_whoever_was_told_first(first: int) -> None:
    told = [Wish("zoe", 998.0, 0), Wish("ada", 999.0, 0)]
    game, world = GameState(GAME), World(["ada", "zoe"])
    for wish in (told[first], told[1 - first]):
        game.put(wish.decision())
    reply = game.ready()
    assert [decision.villager_id for decision in reply.decisions] == ["zoe", "ada"]
    for number, now in enumerate(steady()):
        world.step(now, reply if number == 0 else StepReply(), ["ada", "zoe"])
    assert world.seen().taken_by == ("zoe",)
    assert any("zoe was there first" in told for told in world.seen().outcomes)
