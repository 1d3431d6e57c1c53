"""What a villager may decide now, and what it decides."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from townsfolk.types.base import MAX_CONTEXT, MAX_TEXT, Id, Message, PersonaName
from townsfolk.types.observation import Position


class Slot(Message):
    """The values that one argument may take now."""

    kind: Literal["choice", "int", "text"]
    choices: tuple[str, ...] = ()
    min: int = 0
    max: int = 0
    max_length: int = 0


class Offer(Message):
    """An action that can be carried out now, each slot with at least one value."""

    name: str
    slots: tuple[Slot, ...] = ()


class Action(Message):
    """One action; `args` are text, as in the tag, of the kinds that its ActionSpec names."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    args: tuple[Annotated[str, StringConstraints(max_length=MAX_TEXT)], ...] = Field(default=(), max_length=4)

    def tag(self) -> str:
        """The inside of the action's tag: `give default:apple 2 sam`; text that has spaces is quoted."""
        return " ".join((self.name, *(f'"{arg}"' if " " in arg or not arg else arg for arg in self.args)))


class Verdict(Message):
    """Policy's answer on one action."""

    allowed: bool
    rule: str = ""
    """The rule that decided, empty when nothing forbids."""
    reason: str = ""


class Decision(Message):
    """One part of a villager's turn: a sentence, actions, or both. A turn may come in several parts."""

    villager_id: Id
    turn_id: Id
    part: int
    """0, 1, 2 … within the turn."""
    done: bool
    snapshot_time: float
    """Of the observation that it was made from; the game drops what is stale."""
    reply_to: str = ""
    """The player who is answered; empty: nobody spoke."""
    private: bool = False
    speech: str = ""
    actions: tuple[Action, ...] = ()


class Refused(Message):
    """An observation that was not taken, so that the game can go on by script."""

    villager_id: Id
    code: Literal["busy", "stale", "frozen", "late", "invalid"]
    reason: str
    retry_after_ms: int = 0


class StepReply(Message):
    decisions: tuple[Decision, ...] = ()
    refused: tuple[Refused, ...] = ()
    pending: int = 0
    """Turns under way for this game: ask again soon."""


class InferRequest(Message):
    persona: PersonaName
    context: str = Field(min_length=1, max_length=MAX_CONTEXT)
    max_len: int = Field(default=64, ge=1, le=512)
    """Tokens to generate at most."""
    max_wait_ms: int = Field(default=10_000, ge=1, le=120_000)


class InferReply(Message):
    text: str
    actions: tuple[str, ...]
    """The insides of the action tags, in order."""
    turn_id: Id


class InferChunk(Message):
    """One piece of a streamed reply."""

    turn_id: Id
    text: str = ""
    """What was said since the last chunk; all of them joined as they are make the reply's text."""
    actions: tuple[str, ...] = ()
    done: bool = False


class CheckRequest(Message):
    """May this persona do this, here?"""

    persona: PersonaName
    action: Action
    villager_id: str = Field(default="", max_length=64)
    game_id: str = Field(default="", max_length=64)
    at: Position | None = None
    """Where; left out: all areas' rules hold."""
