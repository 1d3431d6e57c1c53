"""What a villager sees, and what became of what it did: sent by the game with each step."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from townsfolk.types.base import (
    MAX_OBSERVATIONS,
    MAX_TEXT,
    Direction,
    Id,
    Message,
    Name,
    OptionalName,
    PersonaName,
    Text,
)


class Position(Message):
    x: float
    y: float
    z: float


class Thing(Message):
    """A player, villager, mob or dropped item near."""

    kind: Literal["player", "villager", "mob", "item"]
    name: Name
    title: Text = ""
    """How it is called in speech (a mob's or item's description); empty: its name."""
    distance: float = Field(ge=0, le=1000)
    direction: Direction
    held: OptionalName = ""
    hp: float = Field(default=0, ge=0, le=1_000_000)
    count: int = Field(default=1, ge=0, le=65_535)
    hostile: bool = False


class Node(Message):
    """A notable node near (a chest, sign, ore, tree, bed …) by its registered name."""

    name: Name
    title: Text = ""
    distance: float = Field(ge=0, le=1000)
    direction: Direction
    text: Text = ""
    """What is written on it (signs, books): untrusted."""


class Stack(Message):
    name: Name
    count: int = Field(ge=1, le=65_535)


class SelfState(Message):
    """The villager's own state."""

    position: Position
    hp: float = Field(ge=0, le=1_000_000)
    hp_max: float = Field(default=20, gt=0, le=1_000_000)
    doing: Text = ""
    """The action under way, as a tag has it (`follow sam`); empty: idle."""
    held: OptionalName = ""
    inventory: tuple[Stack, ...] = Field(default=(), max_length=64)
    home_distance: float = Field(default=0, ge=0, le=100_000)
    home_direction: Direction = "here"


class Surroundings(Message):
    things: tuple[Thing, ...] = Field(default=(), max_length=48)
    nodes: tuple[Node, ...] = Field(default=(), max_length=48)


class EventKind(StrEnum):
    SPOKEN_TO = "spoken_to"  # `who` says `text` to this villager: it should answer
    HEARD = "heard"  # `who` says `text` near by, to somebody else
    PUNCHED = "punched"  # by `who`, `count` damage
    GIFT = "gift"  # `who` gave `count` of `name`
    PLACED = "placed"  # `who` placed the node `name` near
    DUG = "dug"  # `who` dug the node `name` near
    ARRIVED = "arrived"  # an action ended well: `text` is its tag
    FAILED = "failed"  # an action ended badly: `text` is its tag and the reason
    JOINED = "joined"  # the player `who` came near
    LEFT = "left"  # the player `who` went away
    TICK = "tick"  # the game asks for a decision though nothing happened


class Event(Message):
    """Something that happened since the last observation."""

    kind: EventKind
    at: float
    who: OptionalName = ""
    text: Text = ""
    name: OptionalName = ""
    count: int = Field(default=0, ge=0, le=65_535)
    private: bool = False
    """Said through the form or `/ai say`: the answer goes to `who` alone."""


class Observation(Message):
    """What one villager perceives. `me` and `around` are left out while unchanged since the last answer."""

    villager_id: Id
    name: Text
    persona: PersonaName
    snapshot_time: float
    time_of_day: float = Field(default=0.5, ge=0, le=1)
    """0 and 1 are midnight, 0.5 is noon."""
    me: SelfState | None = None
    around: Surroundings | None = None
    events: tuple[Event, ...] = Field(default=(), max_length=32)


class Outcome(Message):
    """What became of an action in the game: told with the next step."""

    turn_id: Id
    villager_id: Id
    action: Annotated[str, StringConstraints(max_length=MAX_TEXT)]
    """The tag's inside, as it was decided."""
    verdict: Literal["done", "refused", "failed"]
    reason: Text = ""
    rule: Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9_]{0,31})?$")] = ""
    """The rule of the game's own check that refused it; empty: none."""


class StepRequest(Message):
    """All villagers that are due, once a server step."""

    game_id: Id
    observations: tuple[Observation, ...] = Field(default=(), max_length=MAX_OBSERVATIONS)
    outcomes: tuple[Outcome, ...] = Field(default=(), max_length=256)
    max_wait_ms: int = Field(default=50, ge=0, le=10_000)
    """Answer after this time with what is ready; the rest comes with a later step."""
