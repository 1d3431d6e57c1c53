"""What all messages are built of: names, texts, limits."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

MAX_OBSERVATIONS = 64
MAX_TEXT = 500
MAX_CONTEXT = 8_000

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
"""An identifier: game, villager, turn. Never shown to the model."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
"""A name the game registered or a player bears (`default:torch`, `singleplayer`): one word."""
OptionalName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{0,64}$")]
PersonaName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
"""What a player wrote, a sign says, a thing is called: untrusted, plain text to the model."""

Direction = Literal[
    "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest", "here"
]


class Message(BaseModel):
    """Base of all messages: immutable, unknown fields refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
