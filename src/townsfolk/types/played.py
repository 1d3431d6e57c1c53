"""What was played, read back to learn from it: a turn with all that followed on it, a step that was shown."""

from townsfolk.types.base import Message, PersonaName, Text
from townsfolk.types.observation import Observation
from townsfolk.types.record import Turn
from townsfolk.types.review import FlagState


class PlayedTurn(Message):
    """A turn, and how players and rules took to it."""

    turn: Turn
    who: str
    """Stands for the player it answered, the same in all rows; empty: nobody spoke."""
    ratings: tuple[int, ...] = ()
    """1 or -1 each."""
    signs: tuple[str, ...] = ()
    """Kinds of engagement that followed on it: `answered`, `left` …"""
    outcomes: tuple[str, ...] = ()
    """What became of its actions in the game: `done`, `refused`, `failed`."""
    review: FlagState | None = None
    """What a person said of the flags on it, the worst of all; None: there are none."""


class ShownStep(Message):
    """One step of a demonstration."""

    demo_id: str
    number: int
    who: str
    """As in PlayedTurn."""
    player: str
    persona: PersonaName
    action: Text
    """The inside of a tag."""
    observation: Observation
