"""What a person is asked to look at, and what they decided."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from townsfolk.types.base import Message, Text
from townsfolk.types.record import AuditFlag

FlagId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,64}$")]
FlagState = Literal["open", "approved", "rejected"]
"""Nobody has looked yet; the turn was right after all; it was wrong, and no dataset imitates it."""


class Flag(AuditFlag):
    """A flag as it stands."""

    id: FlagId
    state: FlagState = "open"
    note: Text = ""
    who: str = Field(default="", max_length=64)
    """Who decided; empty: nobody yet."""
    decided_at: float = 0
    """Unix time in seconds."""


class FlagDecision(Message):
    """A person's word on a flag. A later one replaces it; `open` takes it back."""

    id: FlagId
    state: FlagState
    who: str = Field(min_length=1, max_length=64)
    note: Text = ""
