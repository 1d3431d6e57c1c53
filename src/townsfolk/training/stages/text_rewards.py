"""Rewards that are functions of a reply's text, each from 0 to 1: what GRPO learns from.

They are made of what evaluation measures by (training/evaluation/metrics.py): what is trained for is what is
judged. They refuse to know models and tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from townsfolk.training.evaluation.metrics import (
    is_echo,
    is_right_action,
    is_right_target,
    is_well_formed,
    split_reply,
)
from townsfolk.types import words

MOST_WORDS = 24
"""Of two short sentences."""


@dataclass(frozen=True)
class Answer:
    """A reply that was drawn.

    Attributes:
        wanted: the row's own reply to the same.
        said: the player's words.
        to_imitate: whether `wanted` is known to be right: what players disliked is not.
    """

    reply: str
    wanted: str
    said: str = ""
    to_imitate: bool = True


def well_formed(it: Answer) -> float:
    """No tag, or a whole one that stands first."""
    return float(is_well_formed(it.reply))


def right_action(it: Answer) -> float:
    """The action of the row's own reply; half of it where it is done to something else.

    Nothing for any action where the row's own reply was disliked: nobody knows what would have been right.
    """
    if not it.to_imitate:
        return 0.0
    done, wanted = split_reply(it.reply)[0], (split_reply(it.wanted)[0],)
    if not is_right_action(done, wanted, it.said):
        return 0.0
    return 1.0 if done in wanted or is_right_target(done, wanted) else 0.5


def no_echo(it: Answer) -> float:
    """Says more than the player's own words."""
    return float(not is_echo(split_reply(it.reply)[1], it.said))


def length(it: Answer) -> float:
    """Says something, in few words; where the row's own reply is an action alone, nothing."""
    spoken = len(words(split_reply(it.reply)[1]))
    if not split_reply(it.wanted)[1]:
        return float(not spoken)
    return min(1.0, MOST_WORDS / spoken) if spoken else 0.0


REWARDS: Mapping[str, Callable[[Answer], float]] = {
    each.__name__: each for each in (well_formed, right_action, no_echo, length)
}
"""By the setting that says what each is worth."""
