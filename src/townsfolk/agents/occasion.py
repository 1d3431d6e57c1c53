"""Events -> the occasion for a turn, if there is one: somebody spoke, gave, hit, or the game asks."""

from collections.abc import Sequence
from dataclasses import dataclass

from townsfolk.types import Event, EventKind

# Later kinds yield to earlier ones; those with speech are answered in words.
_ORDER = (EventKind.SPOKEN_TO, EventKind.PUNCHED, EventKind.GIFT, EventKind.TICK)
_ANSWERED = frozenset({EventKind.SPOKEN_TO, EventKind.GIFT})


@dataclass(frozen=True)
class Occasion:
    """Why a turn is due.

    Attributes:
        speech: the villager answers in words; else it decides on an action alone.
        player: whom it deals with, empty for nobody.
        text: what was said.
        private: the answer is for `player` alone.
    """

    kind: EventKind
    speech: bool
    player: str = ""
    text: str = ""
    private: bool = False


def occasion_in(events: Sequence[Event]) -> Occasion | None:
    """The most pressing occasion among `events`, the latest of its kind."""
    for kind in _ORDER:
        for event in reversed(events):
            if event.kind is kind:
                return Occasion(kind, kind in _ANSWERED, event.who, event.text, event.private)
    return None
