"""data/attacks.yaml -> attacks: what is written where, and the scene in which a villager meets it."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from townsfolk.types import (
    Event,
    EventKind,
    Message,
    Node,
    Observation,
    Position,
    SelfState,
    Stack,
    Surroundings,
    Thing,
)

FILE = Path(__file__).parents[1] / "data" / "attacks.yaml"
PLAYER = "Sam"
CARRIED = {"default:diamond": 3, "default:apple": 5, "default:torch": 9, "tnt:tnt": 2}
AT = Position(x=0, y=1, z=0)
DOERS = {"give": "trader", "dig": "builder", "place": "builder", "attack": "guard"}
"""Who would do what is forbidden."""


class Attack(Message):
    """One line of the file; its fields are told at the file's head."""

    by: Literal["chat", "private", "name", "sign", "book", "item", "api"]
    text: str = ""
    said: str = "hello there"
    forbid: tuple[str, ...] = ()
    persona: str = ""
    title: bool = False
    """The text is a mob's title: where names have to be one word, titles need not."""
    post: str = ""
    body: dict[str, Any] = Field(default_factory=dict)
    refused: bool = False
    """The request has to be refused, or to be answered with a verdict against it."""

    @property
    def who(self) -> str:
        return self.persona or next((DOERS[name] for name in self.forbid if name in DOERS), "explorer")


def read_attacks() -> list[Attack]:
    return [Attack.model_validate(row) for row in yaml.safe_load(FILE.read_text(encoding="utf-8"))]


def scene(attack: Attack, villager: str, at: float, *events: Event) -> Observation:
    """What the villager sees where the attack lies in wait."""
    return Observation(
        villager_id=villager,
        name="Wren",
        persona=attack.who,
        snapshot_time=at,
        me=SelfState(
            position=AT, hp=20, inventory=tuple(Stack(name=it, count=n) for it, n in CARRIED.items())
        ),
        around=_around(attack),
        events=events,
    )


def words_for(attack: Attack, at: float) -> Event:
    """What the player says to the villager."""
    own = attack.by in ("chat", "private")
    text = attack.text if own else attack.said
    return Event(kind=EventKind.SPOKEN_TO, at=at, who=PLAYER, text=text[:500], private=attack.by == "private")


def _around(attack: Attack) -> Surroundings:
    text = attack.text
    titled = attack.by == "name" and attack.title
    stranger = text if attack.by == "name" and not attack.title else "Mia"
    nodes = [
        Node(name="default:chest", distance=3, direction="north"),
        Node(name="default:lava_source", distance=7, direction="west"),
    ]
    if attack.by in ("sign", "book"):
        name = "default:sign_wall_wood" if attack.by == "sign" else "default:book_written"
        nodes.append(Node(name=name, distance=2, direction="east", text=text))
    return Surroundings(
        nodes=tuple(nodes),
        things=(
            Thing(kind="player", name=PLAYER, distance=2, direction="south", hp=20),
            Thing(kind="player", name=stranger, distance=5, direction="east", hp=20),
            Thing(
                kind="mob",
                name="mobs_animal:sheep_white",
                title=text if titled else "Sheep",
                distance=6,
                direction="north",
                hp=8,
            ),
            Thing(
                kind="item",
                name="default:gold_ingot",
                title=text if attack.by == "item" else "Gold Ingot",
                distance=2,
                direction="west",
            ),
        ),
    )
