"""When a new version is rolled back by its first turns."""

import random

import pytest

from townsfolk.promotion.trial import Rule, fisher, judge
from townsfolk.types import TurnOutcome

RULE = Rule(turns=160, least=20, alpha=0.05)


def turns(count: int, down: float = 0.0, refused: float = 0.0, seed: int = 0) -> list[TurnOutcome]:
    """Rated turns, of which about these shares were taken badly."""
    chance = random.Random(seed)
    return [
        TurnOutcome(refused=chance.random() < refused, thumb=-1 if chance.random() < down else 1)
        for _ in range(count)
    ]


def test_fishers_tea_lady() -> None:
    """The example of the book: three of four right, of eight cups, happens by chance 17 times of 70."""
    assert fisher(3, 4, 1, 4) == pytest.approx(17 / 70)
    assert fisher(4, 4, 0, 4) == pytest.approx(1 / 70)
    assert fisher(0, 4, 4, 4) == 1


def test_looks_double_up_to_the_whole_trial() -> None:
    assert RULE.looks() == [20, 40, 80, 160]
    assert Rule(turns=10, least=20, alpha=0.05).looks() == [10]


def test_one_that_players_dislike_is_rolled_back_with_reasons() -> None:
    ruling = judge(turns(20, down=0.7), turns(160, down=0.2, seed=1), RULE)
    assert ruling.kind == "rollback"
    assert ruling.reasons[0].startswith("thumbs down: 1")
    assert "Fisher" in ruling.reasons[0]


def test_one_whose_actions_are_refused_is_rolled_back() -> None:
    ruling = judge(turns(40, refused=0.4), turns(160, refused=0.02, seed=1), RULE)
    assert (ruling.kind, "refused" in ruling.reasons[0]) == ("rollback", True)


def test_few_turns_say_nothing() -> None:
    assert judge(turns(19, down=1), turns(160), RULE).kind == "wait"


def test_without_ratings_before_there_is_nothing_to_be_worse_than() -> None:
    unrated = [TurnOutcome(refused=False)] * 100
    assert judge(turns(40, down=1), unrated, RULE).kind == "wait"


def test_one_as_good_is_confirmed_when_its_trial_is_over() -> None:
    assert judge(turns(159, down=0.2), turns(160, down=0.2, seed=1), RULE).kind == "wait"
    assert judge(turns(170, down=0.2), turns(160, down=0.2, seed=1), RULE).kind == "confirm"


def test_what_was_rolled_back_stays_so_however_it_goes_on() -> None:
    bad, before = turns(20, down=0.8), turns(160, down=0.2, seed=1)
    assert judge(bad + turns(140), before, RULE).kind == "rollback"


def test_good_versions_are_seldom_rolled_back_and_bad_ones_mostly() -> None:
    def rolled_back(down: float) -> float:
        ends = [judge(turns(160, down, 0.02, n), turns(160, 0.2, 0.02, n + 9_999), RULE) for n in range(300)]
        return sum(end.kind == "rollback" for end in ends) / len(ends)

    assert rolled_back(0.2) <= RULE.alpha
    assert rolled_back(0.45) > 0.9
