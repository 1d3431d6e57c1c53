"""What a villager can do: sent by the game when it connects, and the service's answer."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from townsfolk.types.base import MAX_OBSERVATIONS, MAX_TEXT, Id, Message, Name, PersonaName, Text


class ArgKind(StrEnum):
    """Types of an action's arguments; each but the last three is a choice from the observation."""

    PLAYER = "player"  # the name of a player near
    CREATURE = "creature"  # of a player, villager or mob near
    MOB = "mob"  # of a mob near
    DROPPED = "dropped"  # of an item lying near
    CARRIED = "carried"  # of an item in the villager's own inventory
    NODE = "node"  # of a notable node near
    PLACE = "place"  # home, or the name of a notable node or creature near
    INT = "int"  # a whole number from min to max
    TEXT = "text"  # quoted, up to max_length characters
    CHOICE = "choice"  # one of choices


class ArgSpec(Message):
    """One typed argument of an action."""

    name: Name
    kind: ArgKind
    min: int = Field(default=0, ge=-1_000_000, le=1_000_000)
    max: int = Field(default=99, ge=-1_000_000, le=1_000_000)
    max_length: int = Field(default=120, ge=1, le=MAX_TEXT)
    choices: tuple[Name, ...] = Field(default=(), max_length=32)

    @model_validator(mode="after")
    def _some_number_fits(self) -> "ArgSpec":
        if self.min > self.max:
            raise ValueError(f"min {self.min} is over max {self.max}: no number could be chosen, swap them")
        return self


class ActionSpec(Message):
    """An action that the game's registry offers (`townsfolk.register_action`)."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    description: Text = ""
    args: tuple[ArgSpec, ...] = Field(default=(), max_length=4)
    phrases: tuple[Text, ...] = Field(default=(), max_length=16)
    """What a player says who wants this ("follow me", "come with me"): shows the model when to use it."""
    hostile: bool = False
    """Hurts a creature: offered only where there is a mob near."""


class Game(Message):
    """A game's greeting (`Connect`): who it is and what its villagers can do."""

    game_id: Id
    mod_version: Text = ""
    engine_version: Text = ""
    game_name: Text = ""
    actions: tuple[ActionSpec, ...] = Field(min_length=1, max_length=128)
    personas: tuple[PersonaName, ...] = Field(default=(), max_length=64)


class PersonaActions(Message):
    """What a persona may ever do, for the game's own check."""

    persona: PersonaName
    actions: tuple[Name, ...]


class Connected(Message):
    """The service's answer to a greeting."""

    service_version: str
    personas: tuple[PersonaName, ...]
    unknown_personas: tuple[PersonaName, ...] = ()
    """Asked for, not there: their villagers are answered by the `default_persona`."""
    default_persona: PersonaName
    max_observations: int = MAX_OBSERVATIONS
    allowed: tuple[PersonaActions, ...] = ()
    """One entry a persona."""
