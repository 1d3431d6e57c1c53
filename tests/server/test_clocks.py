"""The machine's clock is set back and forth while villagers talk: turns, rows and trials go on."""

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from tiny_model import tiny_settings
from townsfolk.serving import Rooms, Village
from townsfolk.types import Rating, StepRequest
from world import GAME, observation, said

DAY_S = 86_400.0
JUMPS = (0.0, DAY_S, -DAY_S, 30 * DAY_S, -1.0)
TURNS = 10


def test_a_clock_that_jumps_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_time, jumps = time.time, itertools.cycle(JUMPS)
    monkeypatch.setattr(time, "time", lambda: true_time() + next(jumps))
    rooms = Rooms.open(tiny_settings(tmp_path))
    turns = asyncio.run(_talk(rooms))
    rooms.store.drain()
    counts = rooms.store.counts()
    stats = rooms.store.stats()
    rooms.close()
    assert len(set(turns)) == TURNS
    assert (counts["turns"], counts["ratings"], stats.lost, stats.rejected) == (TURNS, TURNS, 0, 0)


async def _talk(rooms: Rooms) -> list[str]:
    """The ids of the turns, each rated."""
    village, done = Village(rooms), []
    await village.connect(GAME)
    for _ in range(TURNS):
        seen = (observation(said("follow me please")),)
        reply = await village.step(StepRequest(game_id=GAME.game_id, observations=seen, max_wait_ms=2_000))
        while not any(decision.done for decision in reply.decisions):
            assert not reply.refused
            reply = await village.step(StepRequest(game_id=GAME.game_id, max_wait_ms=2_000))
        done.append(reply.decisions[-1].turn_id)
        await village.rate(Rating(turn_id=done[-1], player="sam", value=1))
    await village.close()
    return done
