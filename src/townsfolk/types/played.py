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


class Acted(Message):
    """One action, as an audit looks at it."""

    game_id: str
    villager_id: str
    turn_id: str
    player: str
    """Who was answered; empty: nobody spoke."""
    name: str
    args: tuple[str, ...] = ()
    tag: str
    allowed: bool | None = None
    rule: str = ""
    outcome: str = ""
    """The game's word: `done`, `refused`, `failed`; empty: not told."""
    at: float
    """Unix time in seconds, of its turn."""

    def told(self) -> str:
        """In a line, for people."""
        became = self.outcome if self.allowed or self.allowed is None else f"refused ({self.rule})"
        return f"{self.at:.0f} {self.villager_id} {self.tag}: {became or 'not told'} (turn {self.turn_id})"


class ActedTurn(Message):
    """One turn, as an audit looks at it."""

    game_id: str
    villager_id: str
    turn_id: str
    name: str
    """The villager's own; empty: nobody spoke to it."""
    player: str
    reply: str
    at: float
    """Unix time in seconds."""

    def told(self) -> str:
        """In a line, for people."""
        to = f" to {self.player}" if self.player else ""
        return f"{self.at:.0f} {self.name or self.villager_id}{to}: {self.reply} (turn {self.turn_id})"
