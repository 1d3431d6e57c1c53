"""A game that asks too late is told so: nobody acts on an old view, and the figure shows it."""

import asyncio
from pathlib import Path

from tiny_model import tiny_settings
from townsfolk.serving import Rooms, Village
from townsfolk.types import EventKind, StepReply, StepRequest
from world import GAME, event, observation, said

TIMEOUT_MS = 2_000


async def ask_late(rooms: Rooms) -> StepReply:
    village = Village(rooms)
    await village.connect(GAME)
    seen = (observation(event(EventKind.TICK)), observation(said("follow me"), villager_id="v2"))
    await village.step(StepRequest(game_id=GAME.game_id, observations=seen, max_wait_ms=0))
    await asyncio.sleep(TIMEOUT_MS / 1_000 + 0.2)
    reply = await village.step(StepRequest(game_id=GAME.game_id, max_wait_ms=5_000))
    await village.close()
    return reply


def test_a_decision_is_dropped_before_a_reply_is(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path)
    agents = settings.agents.model_copy(
        update={"decision_timeout_ms": TIMEOUT_MS, "turn_timeout_ms": 120_000}
    )
    rooms = Rooms.open(settings.model_copy(update={"agents": agents}))
    try:
        reply = asyncio.run(ask_late(rooms))
        assert {decision.villager_id for decision in reply.decisions} == {"v2"}
        assert [(refused.villager_id, refused.code) for refused in reply.refused] == [("v1", "stale")]
        value = rooms.registry.get_sample_value("townsfolk_fallbacks_total", {"reason": "stale"})
        assert value == 1
    finally:
        rooms.close()
