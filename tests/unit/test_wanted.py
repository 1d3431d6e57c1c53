"""What waits for a game's next step: dropped when it is too old, but a reply that was begun is not torn."""

import time
from math import inf

import pytest

from townsfolk.serving.games import GameState, Wanted
from townsfolk.types import Action, Decision, Refused, StepReply
from world import GAME

PAST = 1.0
"""Of the monotonic clock: long ago."""


def part(number: int, turn: str = "t1", **fields: object) -> Decision:
    values = {"villager_id": turn, "turn_id": turn, "part": number, "done": False, "snapshot_time": 1.0}
    return Decision.model_validate(values | fields)


def codes(reply: StepReply) -> list[tuple[str, str]]:
    return [(refused.villager_id, refused.code) for refused in reply.refused]


@pytest.fixture
def game() -> GameState:
    return GameState(GAME)


def test_what_is_wanted_still_goes_to_the_game(game: GameState) -> None:
    game.put(part(0), Wanted(time.monotonic() + 60))
    game.put(part(0, "t2"))
    assert [decision.turn_id for decision in game.ready().decisions] == ["t1", "t2"]


def test_a_decision_that_waited_too_long_is_refused(game: GameState) -> None:
    game.put(part(0, actions=(Action(name="wave"),), done=True), Wanted(PAST))
    game.put(part(0, "t2"), Wanted(inf))
    reply = game.ready()
    assert [decision.turn_id for decision in reply.decisions] == ["t2"]
    assert codes(reply) == [("t1", "stale")]
    assert "step oftener" in reply.refused[0].reason
    assert game.ready() == StepReply()


def test_of_a_reply_that_waited_too_long_nothing_comes(game: GameState) -> None:
    wanted = Wanted(PAST)
    for number in range(3):
        game.put(part(number, speech="Hello."), wanted)
    reply = game.ready()
    assert (reply.decisions, codes(reply)) == ((), [("t1", "stale")])
    game.put(part(3, done=True), wanted)
    assert game.ready() == StepReply()


def test_a_reply_that_was_begun_comes_whole(game: GameState) -> None:
    wanted = Wanted(time.monotonic() + 60)
    game.put(part(0, speech="Hello."), wanted)
    assert len(game.ready().decisions) == 1
    wanted.until = PAST
    game.put(part(1, speech="Come in."), wanted)
    game.put(part(2, done=True), wanted)
    assert [decision.part for decision in game.ready().decisions] == [1, 2]


def test_a_refusal_never_waits_too_long(game: GameState) -> None:
    game.put(Refused(villager_id="v1", code="frozen", reason="it broke a rule"))
    assert codes(game.ready()) == [("v1", "frozen")]
