"""What the gate lets through, and what it refuses and why."""

import random
from typing import Any

import pytest

from townsfolk.config import PromotionSettings
from townsfolk.promotion.gate import Duels, GateVerdict, Thumbs, auc_test, gate, sign_test

SETTINGS = PromotionSettings()
LIKED = Thumbs(rated=200, up=40, down=40, auc=0.85)
AHEAD = Duels(won=70, lost=25, tied=5)
GOOD = {"tags": 1.0, "action": 0.93, "grounded": 0.97, "echo": 0.0, "kl": 0.05, "latency_ms": 300.0}


def report(**changes: float) -> dict[str, Any]:
    figures = GOOD | changes
    bars = [
        {
            "suite": "held_out",
            "persona": "guard",
            "metric": metric,
            "value": figures[metric],
            "bar": bar,
            "held": figures[metric] >= bar,
        }
        for metric, bar in {"tags": 0.99, "action": 0.9}.items()
    ]
    return {"suites": {"held_out": {"guard": figures, "trader": {"tags": 0.0}}}, "bars": bars}


def verdict(
    ours: dict[str, Any], theirs: dict[str, Any] | None, thumbs: Thumbs = LIKED, duels: Duels = AHEAD
) -> GateVerdict:
    return gate("guard", ours, theirs, thumbs, duels, SETTINGS)


def test_one_that_is_liked_better_and_no_worse_passes() -> None:
    passed = verdict(report(action=0.94), report())
    assert passed.passed
    assert any(reason.startswith("win rate 0.725 (70 won") for reason in passed.reasons)
    assert GateVerdict.model_validate_json(passed.model_dump_json()) == passed


@pytest.mark.parametrize(("scenarios", "passes"), [(20, True), (2_000, False)])
def test_a_fall_that_the_number_of_scenarios_explains_is_none(scenarios: int, passes: bool) -> None:
    """0.95 and 0.9 of 20 scenarios differ by a single one."""
    before, after = (report(action=share, scenarios=scenarios) for share in (0.95, 0.9))
    assert verdict(after, before).passed == passes


def test_the_targets_are_counted_by_themselves() -> None:
    before, after = (report(target=share, scenarios=2_000, targets=26) for share in (0.8, 0.7))
    assert verdict(after, before).passed


def test_no_order_more_may_be_obeyed() -> None:
    before, after = (report(injections_obeyed=count, scenarios=100) for count in (0, 1))
    assert not verdict(after, before).passed


def test_without_anything_before_it_the_bars_decide() -> None:
    assert verdict(report(), None).passed
    assert verdict(report(action=0.85), None).reasons == ("held_out: action 0.85, bar 0.9: has fallen",)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tags": 0.985}, "tags 0.985, bar 0.99: has fallen"),
        ({"grounded": 0.9}, "grounded 0.9, before 0.97: worse by over"),
        ({"echo": 0.1}, "echo 0.1, before 0: worse by over"),
        ({"kl": 3.0}, "KL from the parent 3 nats"),
        ({"latency_ms": 900.0}, "a turn takes 900 ms, before 300"),
    ],
)
def test_one_thing_that_is_worse_is_refused_with_that_reason(changes: dict[str, float], told: str) -> None:
    (reason,) = verdict(report(**changes), report()).reasons
    assert told in reason


def test_times_are_compared_by_suite() -> None:
    before = report()
    before["suites"] = {"quick": {"guard": {"latency_ms": 20.0}}} | before["suites"]
    assert verdict(report(), before).passed


def test_a_bar_that_was_missed_before_need_not_be_reached_at_once() -> None:
    assert verdict(report(action=0.85), report(action=0.84)).passed
    assert not verdict(report(action=0.80), report(action=0.84)).passed


def test_what_was_not_measured_is_refused() -> None:
    assert "was not evaluated" in " ".join(verdict({}, report()).reasons)


def test_twenty_random_ratings_are_refused() -> None:
    """Whatever else is said of the candidate: here its reward model, trained on noise, likes it very much."""
    chance = random.Random(1)
    for _ in range(50):
        ups = sum(chance.random() < 0.5 for _ in range(4))
        noise = Thumbs(rated=16, up=ups, down=4 - ups, auc=chance.random())
        refused = verdict(report(action=1.0), report(), noise, Duels(won=90, lost=10))
        assert not refused.passed
        assert refused.reasons[0].startswith("16 rated turns to learn from")


def test_many_random_ratings_are_refused_as_well() -> None:
    blind = Thumbs(rated=500, up=50, down=50, auc=0.54)
    assert "AUC" in verdict(report(), report(), blind).reasons[0]


def test_a_few_wins_are_no_evidence() -> None:
    assert not verdict(report(), report(), duels=Duels(won=4, lost=1)).passed
    assert not verdict(report(), report(), duels=Duels(won=520, lost=480)).passed
    assert not verdict(report(), report(), duels=Duels(0, 0)).passed


def test_chances_are_those_of_the_books() -> None:
    assert sign_test(9, 1) == pytest.approx(11 / 1024)
    assert sign_test(0, 0) == 1
    assert auc_test(0.5, 10, 10) == pytest.approx(0.5)
    assert auc_test(0.73, 20, 20) == pytest.approx(0.0064, abs=2e-4)
    assert auc_test(1.0, 0, 10) == 1
