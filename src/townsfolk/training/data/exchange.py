"""Authored exchanges: what a villager sees and is told, and what it should do and say.

One YAML file a persona in `data/dialogue`; docs/dataset_formats.md has the schema. It refuses to know how
a prompt is written: an exchange becomes an observation, just as a game would send it.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import yaml
from pydantic import Field, StringConstraints, ValidationError, model_validator

from townsfolk.errors import ConfigError
from townsfolk.training.data.names import Names
from townsfolk.types import (
    Direction,
    Event,
    EventKind,
    Message,
    Name,
    Node,
    Observation,
    OptionalName,
    Position,
    SelfState,
    Stack,
    Surroundings,
    Text,
    Thing,
    faults_told,
    fill,
)

MAX_FILE_BYTES = 2_000_000
KINDS = ("player", "villager", "mob", "item")
HP_MAX = 20.0
NOON, MIDNIGHT = 0.5, 0.0
SNAPSHOT_TIME = 1.0

Place = Annotated[
    str, StringConstraints(pattern=rf'^\d{{1,3}} ({"|".join(get_args(Direction))})( ".{{1,200}}")?$')
]
"""`4 north`, and what is written on it: `3 east "market"`."""
Seen = Annotated[str, StringConstraints(pattern=rf"^(({'|'.join(KINDS)}) )?[A-Za-z0-9_.:{{}}-]{{1,64}}$")]
"""`default:chest`, `mob dmobs:wolf`, `player mia`."""
Count = Annotated[int, Field(ge=1, le=65_535)]
Topic = Literal[
    "greeting", "smalltalk", "directions", "orders", "items", "building", "danger", "trade", "gift", "rude",
    "memory", "world", "odd", "refusal",
]  # fmt: skip


class Exchange(Message):
    """One thing that happens to a villager, and what it should do and say. `{player}` is who speaks."""

    said: Text = ""
    gift: Mapping[Name, Count] = {}
    punched: bool = False
    near: Mapping[Seen, Place] = {}
    have: Mapping[Name, Count] = {}
    """What the villager carries."""
    holds: OptionalName = ""
    """What the player has in hand."""
    built: Mapping[Name, Count] = {}
    """Nodes that the player placed here lately."""
    remembers: Text = ""
    night: bool = False
    hurt: bool = False
    doing: Text = ""
    act: Text = ""
    """The inside of the tag; empty: speech alone."""
    reply: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\n\[\]]+$")]
    topic: Topic

    @model_validator(mode="after")
    def _one_occasion(self) -> "Exchange":
        if [bool(self.said), bool(self.gift), self.punched].count(True) != 1:
            raise ValueError("an exchange has exactly one of said, gift, punched")
        if self.punched and not self.act:
            raise ValueError("a blow is answered by an action: give its act")
        return self

    def observation(self, persona: str, names: Names, *, name: str, player: str) -> Observation:
        """What a game would send of it; `names` says what things are called."""

        filled = partial(fill, player=player, name=name)
        near = {filled(what): place for what, place in self.near.items()}
        things = [_thing(what, place, names) for what, place in near.items() if " " in what]
        if not any(thing.name == player for thing in things):
            things.insert(0, Thing(kind="player", name=player, distance=2, direction="here", held=self.holds))
        return Observation(
            villager_id="authored",
            name=name,
            persona=persona,
            snapshot_time=SNAPSHOT_TIME,
            time_of_day=MIDNIGHT if self.night else NOON,
            me=SelfState(
                position=Position(x=0, y=0, z=0),
                hp=HP_MAX / 4 if self.hurt else HP_MAX,
                doing=filled(self.doing),
                inventory=tuple(Stack(name=item, count=count) for item, count in self._carried().items()),
            ),
            around=Surroundings(
                things=tuple(things),
                nodes=tuple(_node(what, place, names) for what, place in near.items() if " " not in what),
            ),
            events=(*self._built(player), self._event(player, filled(self.said))),
        )

    def _carried(self) -> dict[str, int]:
        """A gift is in the inventory by the time it is told."""
        items = [*self.have, *(item for item in self.gift if item not in self.have)]
        return {item: self.have.get(item, 0) + self.gift.get(item, 0) for item in items}

    def _built(self, player: str) -> list[Event]:
        return [
            Event(kind=EventKind.PLACED, at=SNAPSHOT_TIME / 2, who=player, name=node, count=count)
            for node, count in self.built.items()
        ]

    def _event(self, player: str, said: str) -> Event:
        if self.punched:
            return Event(kind=EventKind.PUNCHED, at=SNAPSHOT_TIME, who=player, count=2)
        for item, count in self.gift.items():
            return Event(kind=EventKind.GIFT, at=SNAPSHOT_TIME, who=player, name=item, count=count)
        return Event(kind=EventKind.SPOKEN_TO, at=SNAPSHOT_TIME, who=player, text=said)


Scene = TypeVar("Scene", bound=Exchange)


def read_exchanges(file: Path) -> list[Exchange]:
    """The exchanges of a YAML file. Raises as `read_scenes`."""
    return read_scenes(file, Exchange)


def read_scenes(file: Path, kind: type[Scene]) -> list[Scene]:
    """The items of a YAML file that lists exchanges, or what is derived from them.

    Raises:
        ConfigError: not there, too large, no YAML; or lists every item that breaks the schema.
    """
    called = kind.__name__.lower()
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{file}: over {MAX_FILE_BYTES:,} bytes: split it")
        rows = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: can't be read: {error}") from error
    if not isinstance(rows, list):
        raise ConfigError(f"{file}: must be a list of {called}s: begin each with '- said:'")
    found, wrong = [], []
    for number, row in enumerate(rows, start=1):
        try:
            found.append(kind.model_validate(row))
        except ValidationError as error:
            wrong += [f"{called} {number}: {fault}" for fault in faults_told(error)]
    if wrong:
        raise ConfigError(f"{file}: {'; '.join(wrong)}")
    return found


def parts_of(place: str) -> tuple[int, str, str]:
    """A `Place`: steps, direction, and what is written on it."""
    steps, way, *written = place.split(" ", 2)
    return int(steps), way, "".join(written)[1:-1]


def _thing(what: str, place: str, names: Names) -> Thing:
    kind, name = what.split(" ")
    steps, direction, _ = parts_of(place)
    return Thing.model_validate(
        {
            "kind": kind,
            "name": name,
            "title": names.titles.get(name, "") if kind in ("mob", "item") else "",
            "distance": steps,
            "direction": direction,
            "hostile": name in names.hostile,
        }
    )


def _node(name: str, place: str, names: Names) -> Node:
    steps, direction, written = parts_of(place)
    return Node.model_validate(
        {
            "name": name,
            "title": names.titles.get(name, ""),
            "distance": steps,
            "direction": direction,
            "text": written,
        }
    )
