"""Who is live: which version of an adapter a persona is served with, and why that changed."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from townsfolk.types.base import Id, Message, PersonaName, Text

ContentHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ChangeKind = Literal["passed", "refused", "tried", "confirmed", "rolled_back"]
MAX_REASONS = 128


class PromoteAdapter(Message):
    """Serve the persona with a version that is in the registry, on trial first."""

    name: PersonaName
    version: ContentHash


class RollbackAdapter(Message):
    """End the persona's trial, or serve it again with the version before."""

    name: PersonaName
    reason: Text = ""


class Standing(Message):
    """Which versions of its adapter a persona is served with, by content hash."""

    name: PersonaName
    live: str = ""
    """Empty: the adapter that is shipped with the persona, if it has one."""
    trial: str = ""
    """The version on trial; empty: none."""
    share: float = Field(default=0, ge=0, le=1)
    """Of the villagers, how many are served with the one on trial."""


class AdapterChange(Message):
    """Something that was decided about a version, and why."""

    id: Id
    name: PersonaName
    """The persona."""
    kind: ChangeKind
    """`passed` and `refused` are the gate's; `tried`, `confirmed` and `rolled_back` change who is live."""
    version: str
    instead_of: str = ""
    """The version that served, or serves again; empty: what is shipped."""
    reasons: tuple[Text, ...] = Field(default=(), max_length=MAX_REASONS)
    at: float
    """Unix time in seconds."""


class TurnOutcome(Message):
    """How one turn was taken."""

    refused: bool
    """Policy or the game refused an action of it."""
    thumb: Literal[-1, 0, 1] = 0
    """Of all players together; 0: none, or as many up as down."""
