"""Limits a day go on where they were when the service starts again, whatever became of the clock."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from store_writer import new_turn, settings_in

from tiny_model import tiny_settings
from townsfolk.config import PolicySettings
from townsfolk.feedback.store import Store
from townsfolk.personas import PersonaLibrary
from townsfolk.policy.check import Policy, Proposal
from townsfolk.policy.limits import DAY
from townsfolk.policy.rules import Rules
from townsfolk.serving import Rooms
from townsfolk.serving.decode import Draft
from townsfolk.serving.judge import Judge
from townsfolk.serving.recall import recall
from townsfolk.types import Action, ActionSpec, Position, Verdict

MOST = 5
RULES: dict[str, Any] = {
    "version": 1,
    "max_text": 300,
    "limits": {"waving": {"actions": ["wave"], "per_day": MOST, "reason": "the arm is tired"}},
}
WAVE = ActionSpec(name="wave")
SQUARE = {
    **RULES,
    "areas": {
        "square": {"from": [-5, -5, -5], "to": [5, 5, 5]},
        "gate": {"from": [4, -5, 4], "to": [9, 5, 9]},
    },
    "limits": {"waving": {**RULES["limits"]["waving"], "areas": ["square"]}},
}
"""The same limit for one area alone."""
IN_THE_SQUARE, AT_THE_GATE, IN_BOTH = (Position(x=at, y=0, z=at) for at in (0, 9, 5))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(settings_in(tmp_path))
    yield opened
    opened.close()


def waved(store: Store, at: float, *, allowed: bool = True, areas: str | None = None) -> None:
    """As often as a villager may in a day, in turns that began at the Unix time `at` and soon after."""
    for number in range(MOST):
        turn = new_turn(f"{at}-{number}").model_copy(
            update={
                "started_at": at + number,
                "actions": (Action(name="wave"),),
                "verdicts": (Verdict(allowed=allowed),),
                "areas": areas,
            }
        )
        store.record_turn(turn)
    store.drain()


def rule_against(policy: Policy, villager: str = "g/ada", at: Position | None = None) -> str:
    """The rule that forbids one more; empty: none does."""
    proposal = Proposal("guard", ("wave",), Action(name="wave"), WAVE, villager, at)
    return policy.check(proposal, time.monotonic()).rule


def recalled(store: Store, rules: dict[str, Any] = RULES) -> Policy:
    policy = Policy(PolicySettings(), Rules.model_validate(rules))
    recall(policy, store)
    return policy


@pytest.mark.parametrize(
    ("ago", "rule"),
    [
        (60, "waving"),
        (DAY - 3_600, "waving"),
        (DAY + 3_600, ""),
        (-3_600, "waving"),  # the clock was set back by some hours since
        (-365 * DAY, ""),  # or by a year: what was done within the last day can't be known
    ],
)
def test_what_was_done_within_a_day_counts(store: Store, ago: float, rule: str) -> None:
    waved(store, time.time() - ago)
    policy = recalled(store)
    assert rule_against(policy) == rule
    assert rule_against(policy, "g/bo") == ""


def test_what_was_refused_does_not_count(store: Store) -> None:
    waved(store, time.time() - 60, allowed=False)
    assert rule_against(recalled(store)) == ""


@pytest.mark.parametrize(
    ("areas", "rule"),
    [("square", "waving"), ("gate,square", "waving"), ("gate", ""), ("", ""), (None, "waving")],
)
def test_a_limit_of_an_area_counts_what_was_done_there(store: Store, areas: str | None, rule: str) -> None:
    waved(store, time.time() - 60, areas=areas)
    policy = recalled(store, SQUARE)
    assert rule_against(policy, at=IN_THE_SQUARE) == rule
    assert rule_against(policy, at=AT_THE_GATE) == ""


@pytest.mark.parametrize(
    ("at", "areas"),
    [(IN_THE_SQUARE, "square"), (AT_THE_GATE, "gate"), (IN_BOTH, "square,gate"), (None, None)],
)
def test_a_turn_names_the_areas_it_was_in(store: Store, at: Position | None, areas: str | None) -> None:
    policy, guard = Policy(PolicySettings(), Rules.model_validate(SQUARE)), PersonaLibrary.read().get("guard")
    store.record_turn(Judge(policy, guard, {}, "g/ada", at).record("t", "", Draft(), None, time.time()))
    store.drain()
    assert store.read_turn("t").areas == areas


def test_without_the_database_limits_begin_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "disk").write_text("a file in the folder's place")
    url = f"sqlite:///{tmp_path / 'disk' / 'store.db'}"
    store = Store.open(settings_in(tmp_path).model_copy(update={"url": url}))
    assert rule_against(recalled(store)) == ""
    assert "limits begin anew" in caplog.text
    store.close()


def test_a_restart_gives_nobody_a_new_day(tmp_path: Path) -> None:
    settings, rules = tiny_settings(tmp_path), tmp_path / "own_rules.yaml"
    rules.write_text(yaml.safe_dump(RULES))
    before = Store.open(settings.store)
    waved(before, time.time() - 60)
    before.close()
    rooms = Rooms.open(settings.model_copy(update={"policy": PolicySettings(rules=rules)}))
    try:
        assert rule_against(rooms.policy) == "waving"
    finally:
        rooms.close()
