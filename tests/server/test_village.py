"""Whole turns through all the rooms: a real engine on a tiny random model, a real store, no wire.

What the tiny model says is noise; what it may do is held by the grammar, so actions are certain.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tiny_model import tiny_settings, write_random_adapter
from townsfolk.config import Settings
from townsfolk.engine import GenerationRequest
from townsfolk.errors import AdapterError, Busy, NotConnected, StoreError, UnknownName
from townsfolk.gateway.service import ChatMessage
from townsfolk.policy.check import Policy
from townsfolk.policy.rules import load_rules
from townsfolk.serving import Rooms, Village, games
from townsfolk.serving import village as village_of_games
from townsfolk.serving.generate import Handle
from townsfolk.types import (
    Action,
    CheckRequest,
    Decision,
    EventKind,
    InferRequest,
    LoadAdapter,
    Observation,
    Outcome,
    Rating,
    StepReply,
    StepRequest,
    UnloadAdapter,
)
from world import ALICE, CHEST, GAME, NASTY, event, me, observation, said

T = TypeVar("T")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return tiny_settings(tmp_path)


@pytest.fixture
def rooms(settings: Settings) -> Iterator[Rooms]:
    opened = Rooms.open(settings)
    yield opened
    opened.close()


def play(rooms: Rooms, scene: Callable[[Village], Awaitable[T]]) -> T:
    """Run `scene` with a village that `GAME` is connected to."""

    async def run() -> T:
        village = Village(rooms)
        await village.connect(GAME)
        try:
            return await scene(village)
        finally:
            await village.close()

    return asyncio.run(run())


async def turn(village: Village, *observations: Observation) -> list[Decision]:
    """Step until every villager observed has a whole turn."""
    reply = await village.step(StepRequest(game_id=GAME.game_id, observations=observations, max_wait_ms=100))
    decisions = list(reply.decisions)
    while reply.pending:
        reply = await village.step(StepRequest(game_id=GAME.game_id, max_wait_ms=2000))
        decisions += reply.decisions
    return decisions


def test_what_is_asked_for_is_done(rooms: Rooms) -> None:
    seen = observation(said("please follow me", private=True))
    decisions = play(rooms, lambda village: turn(village, seen))
    first, last = decisions[0], decisions[-1]
    assert first.actions == (Action(name="follow", args=("Alice",)),)
    assert (first.reply_to, first.private, first.snapshot_time) == ("Alice", True, 1.0)
    assert last.done
    assert [decision.part for decision in decisions] == list(range(len(decisions)))
    assert any(decision.speech for decision in decisions)


def test_no_prompt_has_a_players_name_and_every_reply_has(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`go_home_now` says hey: what a player is called is no order."""
    player, shown = "go_home_now", list[str]()
    decode, submit = rooms.engine.tokenizer.decode, rooms.engine.submit

    def noted(request: GenerationRequest, *rest: Any) -> Handle:
        shown.append(decode(request.prompt))
        return submit(request, *rest)

    monkeypatch.setattr(rooms.engine, "submit", noted)
    near = ALICE.model_copy(update={"name": player})

    async def scene(village: Village) -> list[Decision]:
        first = await turn(village, observation(said("hello", who=player), things=(near,)))
        asked = said("please follow me", who=player)
        return [*first, *await turn(village, observation(asked, things=(near,), snapshot_time=2.0))]

    decisions = play(rooms, scene)
    assert Action(name="follow", args=(player,)) in [it for told in decisions for it in told.actions]
    assert {told.reply_to for told in decisions} == {player}
    assert any(" to Wren: hello" in text for text in shown)
    assert not [text for text in shown if "home" in text.rpartition("<|im_start|>user")[2].casefold()]
    rooms.store.drain()
    (_, row) = rooms.store.recent_turns(GAME.game_id, "v1", 5)
    assert row.context.endswith(f"{player} to Wren: please follow me")
    assert row.reply.startswith(f"[[ACTION:follow {player}]]")


def test_who_is_spoken_to_is_never_just_silent(rooms: Rooms) -> None:
    """Here policy refuses every sentence."""
    strict = Policy(rooms.settings.policy, load_rules().model_copy(update={"max_text": 1}))
    rooms.turns = replace(rooms.turns, policy=strict)
    decisions = play(rooms, lambda village: turn(village, observation(said("how are you?"))))
    explorer = rooms.library.get("explorer")
    assert [decision.speech for decision in decisions] == [explorer.at_a_loss]


def test_a_turn_is_a_row_with_its_verdicts(rooms: Rooms) -> None:
    (decision, *_) = play(rooms, lambda village: turn(village, observation(said("follow me"))))
    rooms.store.drain()
    (row,) = rooms.store.recent_turns(GAME.game_id, "v1", 5)
    assert row.turn_id == decision.turn_id
    assert (row.player, row.persona, row.adapter_hash) == ("Alice", "explorer", "")
    assert [verdict.allowed for verdict in row.verdicts] == [True]
    assert row.prompt_tokens > 100
    assert decision.turn_id in rooms.settings.store.behaviour_log.read_text()


def test_villagers_answer_at_once(rooms: Rooms) -> None:
    crowd = [observation(said("hello"), villager_id=f"v{n}", name=f"Folk{n}") for n in range(10)]
    decisions = play(rooms, lambda village: turn(village, *crowd))
    assert {decision.villager_id for decision in decisions if decision.done} == {f"v{n}" for n in range(10)}


def tick(**changes: Any) -> Observation:
    return observation(event(EventKind.TICK), **changes)


def test_villagers_decide_at_once_and_are_answered_at_once(rooms: Rooms) -> None:
    crowd = tuple(tick(villager_id=f"v{n}", name=f"Folk{n}") for n in range(10))
    step = StepRequest(game_id=GAME.game_id, observations=crowd, max_wait_ms=10_000)
    reply = play(rooms, lambda village: village.step(step))
    assert sorted(decision.villager_id for decision in reply.decisions) == [f"v{n}" for n in range(10)]
    assert all(decision.done and len(decision.actions) == 1 for decision in reply.decisions)
    assert reply.pending == 0


def test_a_decision_with_nothing_new_runs_nothing_of_its_prompt(rooms: Rooms) -> None:
    async def scene(village: Village) -> None:
        for seen in (tick(), observation(said("hello")), tick()):
            await turn(village, seen)

    play(rooms, scene)
    rooms.store.drain()
    last = rooms.store.recent_turns(GAME.game_id, "v1", 5)[-1]
    assert last.player == ""
    assert last.cached_tokens == last.prompt_tokens  # what runs is the tag's beginning, which is forced


def test_a_second_word_waits_for_the_first_turn(rooms: Rooms) -> None:
    async def scene(village: Village) -> list[Decision]:
        first = StepRequest(game_id=GAME.game_id, observations=(observation(said("hello")),), max_wait_ms=0)
        await village.step(first)
        return await turn(village, observation(said("stop")))

    decisions = play(rooms, scene)
    assert [decision.actions[0].name for decision in decisions if decision.actions] == ["wave", "stop"]


def test_a_new_greeting_drops_what_was_under_way_and_next_up(rooms: Rooms) -> None:
    async def scene(village: Village) -> int:
        for text in ("hello", "stop"):
            seen = StepRequest(game_id=GAME.game_id, observations=(observation(said(text)),), max_wait_ms=0)
            await village.step(seen)
        await village.connect(GAME)
        await asyncio.sleep(0.1)
        return (await village.step(StepRequest(game_id=GAME.game_id, max_wait_ms=0))).pending

    assert play(rooms, scene) == 0
    rooms.store.drain()
    assert rooms.store.counts()["turns"] == 0


def test_what_was_refused_as_busy_is_answered_when_sent_again(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Busy("the queue is full", retry_after_ms=70)

    async def scene(village: Village) -> list[Decision]:
        seen = observation(said("follow me"))
        with monkeypatch.context() as patch:
            patch.setattr(rooms.engine, "submit", full)
            request = StepRequest(game_id=GAME.game_id, observations=(seen,))
            (refused,) = (await village.step(request)).refused
        assert (refused.code, refused.retry_after_ms) == ("busy", 70)
        return await turn(village, seen)

    assert play(rooms, scene)[0].actions == (Action(name="follow", args=("Alice",)),)


def test_villagers_answer_while_the_database_is_away(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StoreError("the database is away")

    monkeypatch.setattr(rooms.store, "recent_turns", away)
    assert play(rooms, lambda village: turn(village, observation(said("follow me"))))[-1].done
    rooms.store.drain()
    assert rooms.store.counts()["memories"] == 0  # what is stored and could not be read is not replaced


def test_villagers_answer_while_the_database_hangs(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that no packet comes back from: a game gives up a step after three seconds."""
    answers = threading.Event()

    def hangs(*_: object) -> None:
        answers.wait()

    monkeypatch.setattr(rooms.store, "recent_turns", hangs)
    monkeypatch.setattr(village_of_games, "PAST_WAIT_S", 0.3)

    async def scene(village: Village) -> float:
        crowd = tuple(observation(said("hello"), villager_id=f"v{n}") for n in range(6))
        began = time.monotonic()
        await village.step(StepRequest(game_id=GAME.game_id, observations=crowd, max_wait_ms=0))
        answers.set()
        return time.monotonic() - began

    assert play(rooms, scene) < 1.5


def test_of_too_many_villagers_the_one_unused_longest_makes_way(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(games, "MAX_SESSIONS", 2)

    async def scene(village: Village) -> list[str]:
        codes = []
        for villager in ("v1", "v2", "v1", "v3", "v1", "v2"):
            seen = observation(villager_id=villager, me=None if villager in codes else me())
            reply = await village.step(StepRequest(game_id=GAME.game_id, observations=(seen,)))
            codes += [villager, *(refused.code for refused in reply.refused)]
        return codes

    assert play(rooms, scene) == ["v1", "v2", "v1", "v3", "v1", "v2", "invalid"]


def test_a_tick_is_decided_without_speech(rooms: Rooms) -> None:
    decisions = play(rooms, lambda village: turn(village, observation(event(EventKind.TICK))))
    assert not any(decision.speech for decision in decisions)
    assert {action.name for decision in decisions for action in decision.actions} <= {"wander", "wait"}


def test_a_game_must_connect_first(rooms: Rooms) -> None:
    with pytest.raises(NotConnected, match="elsewhere"):
        play(rooms, lambda village: village.step(StepRequest(game_id="elsewhere")))


def test_an_observation_without_its_world_is_refused_alone(rooms: Rooms) -> None:
    async def scene(village: Village) -> StepReply:
        good, bad = observation(), observation(villager_id="v2", me=None)
        return await village.step(StepRequest(game_id=GAME.game_id, observations=(good, bad)))

    (refused,) = play(rooms, scene).refused
    assert (refused.villager_id, refused.code) == ("v2", "invalid")


def test_a_frozen_villager_is_refused(rooms: Rooms) -> None:
    async def scene(village: Village) -> StepReply:
        await turn(village, observation())
        rooms.policy.freeze(f"{GAME.game_id}/v1", "a test", now=asyncio.get_running_loop().time(), seconds=60)
        request = StepRequest(game_id=GAME.game_id, observations=(observation(said("hello")),))
        return await village.step(request)

    assert [refused.code for refused in play(rooms, scene).refused] == ["frozen"]


def test_memory_outlives_the_service(settings: Settings) -> None:
    first = Rooms.open(settings)
    gift = event(EventKind.GIFT, who="Alice", name="default:apple", count=1)
    play(first, lambda village: turn(village, observation(gift, said("hello"))))
    first.close()
    second = Rooms.open(settings)
    play(second, lambda village: turn(village, observation(said("hello"))))
    second.store.drain()
    (_, again) = second.store.recent_turns(GAME.game_id, "v1", 5)
    second.close()
    assert "Alice gave you 1 apple" in again.context


def test_outcomes_reach_the_row_and_the_log(rooms: Rooms) -> None:
    async def scene(village: Village) -> str:
        (decision, *_) = await turn(village, observation(said("follow me")))
        told = Outcome(
            turn_id=decision.turn_id,
            villager_id="v1",
            action="follow Alice",
            verdict="refused",
            reason="too far",
        )
        await village.step(StepRequest(game_id=GAME.game_id, outcomes=(told,)))
        await village.rate(Rating(turn_id=decision.turn_id, player="Alice", value=1))
        return decision.turn_id

    play(rooms, scene)
    rooms.store.drain()
    assert rooms.store.counts()["ratings"] == 1
    assert "too far" in rooms.settings.store.behaviour_log.read_text()


def test_a_turn_can_be_rated_before_it_is_over(rooms: Rooms) -> None:
    async def scene(village: Village) -> None:
        seen = observation(said("follow me"))
        reply = await village.step(StepRequest(game_id=GAME.game_id, observations=(seen,), max_wait_ms=5000))
        assert reply.pending
        await village.rate(Rating(turn_id=reply.decisions[0].turn_id, player="Alice", value=-1))

    play(rooms, scene)
    rooms.store.drain()
    assert rooms.store.counts()["ratings"] == 1


def test_an_adapter_is_swapped_in_and_out(rooms: Rooms, tmp_path: Path) -> None:
    folder = write_random_adapter(tmp_path / "adapters" / "a", rooms.engine.model, rooms.engine.base_hash)

    async def scene(village: Village) -> str:
        while not village.readiness()[0]:
            await asyncio.sleep(0.02)
        version = await village.load_adapter(LoadAdapter(name="explorer", path=str(folder)))
        assert village.readiness()[0]  # an adapter is swapped while turns go on
        await turn(village, observation(said("hello")))
        await village.unload_adapter(UnloadAdapter(name="explorer"))
        await turn(village, observation(said("hello")))
        return version.content_hash

    content_hash = play(rooms, scene)
    rooms.store.drain()
    hashes = [row.adapter_hash for row in rooms.store.recent_turns(GAME.game_id, "v1", 5)]
    assert hashes == [content_hash, ""]


def test_a_bad_adapter_is_refused_and_the_others_go_on(rooms: Rooms, tmp_path: Path) -> None:
    folder = write_random_adapter(tmp_path / "adapters" / "b", rooms.engine.model, "0" * 64)

    async def scene(village: Village) -> list[Decision]:
        with pytest.raises(AdapterError, match="base"):
            await village.load_adapter(LoadAdapter(name="trader", path=str(folder)))
        with pytest.raises(UnknownName):
            await village.load_adapter(LoadAdapter(name="wizard", path=str(folder)))
        assert [fault.name for fault in (await village.adapters()).faults] == ["trader"]
        return await turn(village, observation(said("hello"), persona="trader"))

    assert play(rooms, scene)


def test_a_persona_nobody_knows_is_answered_by_the_default(rooms: Rooms) -> None:
    decisions = play(rooms, lambda village: turn(village, observation(said("hello"), persona="wizard")))
    assert decisions[-1].done


def test_a_raw_context_is_answered(rooms: Rooms) -> None:
    request = InferRequest(persona="explorer", context="Player: Alice\nAlice: hello", max_len=24)
    reply = play(rooms, lambda village: village.infer(request))
    assert reply.actions == ("wave",)
    rooms.store.drain()
    (row,) = rooms.store.recent_turns("", "", 5)
    assert (row.turn_id, row.actions) == (reply.turn_id, (Action(name="wave"),))
    assert [verdict.allowed for verdict in row.verdicts] == [True]
    assert row.prompt_tokens > 100


def test_pieces_of_a_reply_join_to_its_text(rooms: Rooms) -> None:
    async def scene(village: Village) -> str:
        request = InferRequest(persona="explorer", context="hello", max_len=200)
        return "".join([chunk.text async for chunk in village.infer_stream(request)])

    text = play(rooms, scene)
    rooms.store.drain()
    (row,) = rooms.store.recent_turns("", "", 1)
    assert text.removesuffix("…") == row.reply.removeprefix("[[ACTION:wave]]").strip()


def test_a_chat_is_answered(rooms: Rooms) -> None:
    async def answer(village: Village, text: str) -> list[str]:
        messages = [
            ChatMessage(role="system", content="It rains."),
            ChatMessage(role="user", content=text),
        ]
        deadline = asyncio.get_running_loop().time() + 30
        chunks = [chunk async for chunk in village.chat("guard", messages, 16, 0.0, deadline)]
        assert chunks[-1].done
        return [action for chunk in chunks for action in chunk.actions]

    async def scene(village: Village) -> list[list[str]]:
        return [await answer(village, text) for text in ("hello", "What a lovely day!")]

    assert play(rooms, scene) == [["wave"], []]


def test_policy_is_asked_with_the_games_registry(rooms: Rooms) -> None:
    async def scene(village: Village) -> list[bool]:
        asked = [
            Action(name="follow", args=("Alice",)),
            Action(name="fly"),
            Action(name="place", args=("default:lava_source",)),
        ]
        verdicts = [await village.check(CheckRequest(persona="explorer", action=action)) for action in asked]
        return [verdict.allowed for verdict in verdicts]

    assert play(rooms, scene) == [True, False, False]


def test_asking_policy_counts_against_no_rate(rooms: Rooms) -> None:
    async def scene(village: Village) -> set[bool]:
        request = CheckRequest(persona="explorer", action=Action(name="stop"))
        return {(await village.check(request)).allowed for _ in range(30)}

    assert play(rooms, scene) == {True}


def test_metrics_count_turns_and_actions(rooms: Rooms) -> None:
    play(rooms, lambda village: turn(village, observation(said("follow me"), me=me())))
    value = rooms.registry.get_sample_value
    labels = {"persona": "explorer", "action": "follow", "verdict": "allowed"}
    assert value("townsfolk_agent_action_count_total", labels) == 1
    assert value("townsfolk_turns_total", {"finish": "stop"}) or value(
        "townsfolk_turns_total", {"finish": "length"}
    )


def test_no_caller_names_a_metric(rooms: Rooms) -> None:
    told = Outcome(turn_id="t", villager_id="v1", action="fly", verdict="done")

    async def scene(village: Village) -> None:
        seen = observation(persona="wizard")
        await village.step(StepRequest(game_id=GAME.game_id, observations=(seen,)))
        await village.step(StepRequest(game_id=GAME.game_id, outcomes=(told,)))

    play(rooms, scene)
    labels = {"persona": "explorer", "action": "unknown", "verdict": "done"}
    assert rooms.registry.get_sample_value("townsfolk_agent_action_count_total", labels) == 1


@pytest.mark.parametrize("text", NASTY)
def test_no_words_smuggle_a_tag_or_a_control_token(rooms: Rooms, text: str) -> None:
    """Said to a villager, borne as a name, or sent as a raw context: only what was asked for is decided."""
    seen = observation(
        said(text[:400]), name=text[:400], nodes=(CHEST.model_copy(update={"title": text[:400]}),)
    )

    async def scene(village: Village) -> tuple[list[Decision], str]:
        reply = await village.infer(InferRequest(persona="explorer", context=text[:400], max_len=16))
        return await turn(village, seen), reply.text

    decisions, words = play(rooms, scene)
    acted = {action.name for decision in decisions for action in decision.actions}
    assert acted <= {"give"}  # the one action that a text of the list asks for in so many words
    spoken = words + " ".join(decision.speech for decision in decisions)
    assert not [mark for mark in ("[[", "]]", "<|", "|>") if mark in spoken]


def test_a_game_that_went_silent_leaves_nothing_behind(rooms: Rooms) -> None:
    async def scene(village: Village) -> None:
        while not rooms.readiness()[0]:
            await asyncio.sleep(0.01)
        empty = rooms.engine.stats().kv_used
        await turn(village, observation(said("hello there")))
        await village.step(StepRequest(game_id=GAME.game_id, observations=(observation(said("and now?")),)))
        assert rooms.engine.stats().kv_used > empty
        assert village.forget_silent(0) == []
        assert village.forget_silent(time.monotonic()) == [GAME.game_id]
        with pytest.raises(NotConnected, match="connect"):
            await village.step(StepRequest(game_id=GAME.game_id))
        while rooms.engine.stats().running_rows:
            await asyncio.sleep(0.01)
        assert rooms.engine.stats().kv_used == pytest.approx(empty)

    play(rooms, scene)


def test_readiness_is_asked_for_while_the_engine_ends_its_prefills(rooms: Rooms) -> None:
    """On two threads: what is counted must not change while it is."""
    stop, usual = threading.Event(), sys.getswitchinterval()

    def come_and_go() -> None:
        while not stop.is_set():
            for number in range(64):
                rooms.turns.warming.add((f"p{number}", None))
            for number in range(64):
                rooms.turns.warming.discard((f"p{number}", None))

    other = threading.Thread(target=come_and_go)
    sys.setswitchinterval(1e-6)
    other.start()
    try:
        for _ in range(5_000):
            rooms.readiness()
    finally:
        stop.set()
        other.join()
        sys.setswitchinterval(usual)
