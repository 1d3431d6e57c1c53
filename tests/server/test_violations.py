"""Whoever breaks a rule is frozen at once, here and in the game, and leaves a flag with evidence."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tiny_model import tiny_settings
from townsfolk.feedback.database import Database
from townsfolk.feedback.reads import Reads
from townsfolk.policy.rules import SHIPPED
from townsfolk.serving import Rooms, Village
from townsfolk.serving.judge import Judge
from townsfolk.serving.violations import freeze_as_told
from townsfolk.types import (
    Action,
    CheckRequest,
    InferReply,
    InferRequest,
    Outcome,
    Position,
    StepReply,
    StepRequest,
)
from world import GAME, observation, said

SENTENCE = {"holds": [".", "!", "?", "…"], "reason": "be silent", "freeze": True}
"""A rule that whatever the tiny model says is against."""


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    yield from opened(tmp_path, {})


@pytest.fixture
def silent_rooms(tmp_path: Path) -> Iterator[Rooms]:
    yield from opened(tmp_path, {"silence": SENTENCE})


def opened(tmp_path: Path, texts: dict[str, object]) -> Iterator[Rooms]:
    """Here nobody may have to do with Alice, nor wave in the square."""
    rules = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    rules["names"]["nobody"] = {"patterns": ["alice"], "reason": "leave her alone", "freeze": True}
    rules["texts"] = texts
    rules["areas"]["square"] = {"from": [-5, -5, -5], "to": [5, 5, 5]}
    rules["permissions"]["still"] = {"deny": ["wave"], "areas": ["square"], "reason": "stand still"}
    file = tmp_path / "own_rules.yaml"
    file.write_text(yaml.safe_dump(rules), encoding="utf-8")
    settings = tiny_settings(tmp_path)
    policy = settings.policy.model_copy(update={"rules": file})
    rooms = Rooms.open(settings.model_copy(update={"policy": policy}))
    yield rooms
    rooms.close()


async def step(village: Village, **fields: object) -> list[StepReply]:
    """Replies until nothing is under way."""
    replies = [await village.step(StepRequest(game_id=GAME.game_id, max_wait_ms=100, **fields))]
    while replies[-1].pending:
        replies.append(await village.step(StepRequest(game_id=GAME.game_id, max_wait_ms=2_000)))
    return replies


def play(rooms: Rooms, **fields: object) -> list[StepReply]:
    async def run() -> list[StepReply]:
        village = Village(rooms)
        await village.connect(GAME)
        replies = await step(village, **fields)
        await village.close()
        return replies

    return asyncio.run(run())


def test_what_is_proposed_against_a_rule_freezes_at_once(silent_rooms: Rooms) -> None:
    replies = play(silent_rooms, observations=(observation(said("how are you?")),))
    (refused,) = [refused for reply in replies for refused in reply.refused]
    assert refused.code == "frozen"
    assert 4_000 < refused.retry_after_ms <= 5_000
    decisions = [decision for reply in replies for decision in reply.decisions]
    assert not any(decision.speech for decision in decisions)
    assert decisions[-1].done

    silent_rooms.store.drain()
    (flag,) = silent_rooms.store.list_flags("open")
    assert (flag.rule, flag.villager_id) == ("silence", "v1")
    assert any("how are you?" in line for line in flag.evidence)
    assert flag.evidence[-1].endswith(": be silent")
    assert silent_rooms.store.read_turn(flag.turn_id).verdicts[-1].rule == "silence"


def test_a_turn_without_a_game_is_flagged_too(silent_rooms: Rooms) -> None:
    async def ask() -> InferReply:
        village = Village(silent_rooms)
        reply = await village.infer(InferRequest(persona="explorer", context="sam: how are you?"))
        await village.close()
        return reply

    reply = asyncio.run(ask())
    assert not reply.text
    silent_rooms.store.drain()
    (flag,) = silent_rooms.store.list_flags("open")
    assert (flag.rule, flag.turn_id) == ("silence", reply.turn_id)


def test_what_is_flagged_as_the_service_stops_is_kept(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path)
    broken = Outcome(turn_id="t1", villager_id="v1", action="place x:lava", verdict="refused", rule="lava")

    async def stop_at_once() -> None:
        rooms = Rooms.open(settings)
        freeze_as_told(rooms, GAME.game_id, broken)
        rooms.close()

    asyncio.run(stop_at_once())
    assert [flag.turn_id for flag in Reads(Database(settings.store.url)).list_flags()] == ["t1"]


def test_asking_for_what_is_forbidden_freezes_nobody(rooms: Rooms) -> None:
    """What policy forbids by name is not offered, so the model can't propose it."""
    replies = play(rooms, observations=(observation(said("please follow me")),))
    assert not [refused for reply in replies for refused in reply.refused]
    decisions = [decision for reply in replies for decision in reply.decisions]
    assert any(decision.speech for decision in decisions)
    assert not any(decision.actions for decision in decisions)
    rooms.store.drain()
    assert rooms.store.list_flags() == ()


def test_a_line_like_a_command_costs_that_line_alone(rooms: Rooms) -> None:
    persona = rooms.library.get("explorer")
    judge = Judge(rooms.policy, persona, {spec.name: spec for spec in GAME.actions}, "g/v1")
    assert not judge.may_say("/grantme all.")
    assert judge.may_say("Good day!")
    assert [
        (action.tag(), verdict.rule) for action, verdict in zip(judge.actions, judge.verdicts, strict=True)
    ] == [('say "/grantme all."', "speech")]
    assert not rooms.policy.frozen_for("g/v1", time.monotonic())


def test_what_the_game_found_freezes_here(rooms: Rooms) -> None:
    broken = Outcome(
        turn_id="t1", villager_id="v1", action="place x:lava", verdict="refused", reason="no", rule="lava"
    )
    only_refused = broken.model_copy(update={"villager_id": "v2", "rule": "digging"})
    seen = tuple(observation(said("hello"), villager_id=id) for id in ("v1", "v2"))
    replies = play(rooms, outcomes=(broken, only_refused), observations=seen)
    assert [refused.villager_id for reply in replies for refused in reply.refused] == ["v1"]
    rooms.store.drain()
    assert [(flag.turn_id, flag.evidence) for flag in rooms.store.list_flags()] == [
        ("t1", ("place x:lava: lava: no",))
    ]


@pytest.mark.parametrize(("at", "rule"), [(0.0, "still"), (6.0, ""), (None, "still")])
def test_a_check_knows_the_place(rooms: Rooms, at: float | None, rule: str) -> None:
    async def check() -> str:
        village = Village(rooms)
        await village.connect(GAME)
        where = None if at is None else Position(x=at, y=0, z=0)
        asked = CheckRequest(persona="explorer", action=Action(name="wave"), at=where)
        return (await village.check(asked)).rule

    assert asyncio.run(check()) == rule
