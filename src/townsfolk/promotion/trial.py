"""The first turns of a new version beside those of the version before -> go on, confirm, or roll back.

Two counts are compared: thumbs down among the turns rated, and turns of which an action was refused. Each
by Fisher's exact test, one-sided (R. A. Fisher, Statistical Methods for Research Workers, 5th ed., 1934,
21.02): how likely is it that so many bad ones fall to the new version, were both versions equally good?

Looking again and again at growing counts finds something bad in any version. So there are few looks, after
`least` turns and each time they have doubled, and they share `alpha` (Bonferroni). Who judges later, from
the same turns, comes to the same end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal

from townsfolk.types import TurnOutcome


@dataclass(frozen=True)
class Rule:
    """When a trial ends, and how sure one must be to end it badly.

    Attributes:
        turns: a trial has so many.
        least: of the new version's turns, before anything is said of them.
        alpha: how likely a version as good as the one before may be rolled back.
    """

    turns: int
    least: int
    alpha: float

    def looks(self) -> list[int]:
        """After how many turns one looks."""
        sizes = []
        size = self.least
        while size < self.turns:
            sizes.append(size)
            size *= 2
        return [*sizes, self.turns]


@dataclass(frozen=True)
class Ruling:
    kind: Literal["wait", "confirm", "rollback"]
    reasons: tuple[str, ...]


def judge(new: Sequence[TurnOutcome], before: Sequence[TurnOutcome], rule: Rule) -> Ruling:
    """What is to become of the new version.

    Args:
        new: its turns since the trial began, oldest first.
        before: turns of the version that it is to replace.
    """
    new = new[: rule.turns]
    bad = [
        *_worse("thumbs down", _thumbs(new), _thumbs(before), rule),
        *_worse("turns with a refused action", _refusals(new), _refusals(before), rule),
    ]
    told = f"{len(new)} of {rule.turns} turns, {sum(turn.thumb > 0 for turn in new)} thumbs up"
    if bad:
        return Ruling("rollback", (*bad, told))
    return Ruling("confirm" if len(new) == rule.turns else "wait", (told,))


def fisher(bad: int, count: int, bad_before: int, count_before: int) -> float:
    """P(so many bad ones or more among `count`), given how many are bad in both together: one-sided."""
    all_bad, both = bad + bad_before, count + count_before
    worse = range(bad, min(count, all_bad) + 1)
    return sum(comb(count, n) * comb(count_before, all_bad - n) for n in worse) / comb(both, all_bad)


def _thumbs(turns: Sequence[TurnOutcome]) -> list[bool]:
    return [turn.thumb < 0 for turn in turns if turn.thumb]


def _refusals(turns: Sequence[TurnOutcome]) -> list[bool]:
    return [turn.refused for turn in turns]


def _worse(what: str, new: list[bool], before: list[bool], rule: Rule) -> Iterator[str]:
    """The first look at which the new version is worse beyond chance."""
    looks = rule.looks()
    level = rule.alpha / (2 * len(looks))  # two counts are compared
    for size in looks:
        if size > len(new):
            return
        chance = fisher(sum(new[:size]), size, sum(before), len(before))
        if chance < level:
            yield (
                f"{what}: {sum(new[:size])} of {size}, before it {sum(before)} of {len(before)} "
                f"(Fisher's exact test: {chance:.2g}, below {level:.2g})"
            )
            return
