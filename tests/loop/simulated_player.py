"""Players of one taste, who play over the real HTTP API and rate by it.

They ask for the way, and like short replies that name a direction. They refuse to know whether anybody learns
from their thumbs.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import httpx
from villages import decided, post

from townsfolk.types import ActionSpec, Direction, EventKind, Game, Observation, words

DIRECTIONS = frozenset(get_args(Direction)) - {"here"}
SHORT = 12
"""Words of a reply that is still short."""
AT_ONCE = 8
PLAYERS = 40
"""Names that they go by: datasets are split by player."""
ASKED = (
    "where is {}?",
    "which way is {}",
    "how do I get to {}?",
    "could you tell me where {} is?",
    "i am looking for {}",
    "have you seen {}?",
)
"""How they ask the way."""

Taste = Callable[[str], bool]


def short_with_direction(speech: str) -> bool:
    """The stated preference."""
    said = words(speech)
    return 0 < len(said) <= SHORT and bool(DIRECTIONS & {*said})


@dataclass(frozen=True)
class Heard:
    """A reply of a villager."""

    turn_id: str
    player: str
    speech: str


class SimulatedPlayer:
    """All of them, in one game. `http` has the service's address, and its token if it asks for one."""

    def __init__(self, http: httpx.Client, game_id: str, actions: Sequence[ActionSpec]) -> None:
        self._http, self._game_id = http, game_id
        game = Game(game_id=game_id, actions=tuple(actions))
        post(http, "/v1/games", game.model_dump(mode="json"))
        self._met = 0

    def play(self, scenes: Sequence[Observation]) -> Iterator[Heard]:
        """What is said to each scene, by villagers that meet nobody twice; a few at once."""
        for start in range(0, len(scenes), AT_ONCE):
            yield from self._together(scenes[start : start + AT_ONCE])

    def rate(self, heard: Heard, value: int) -> None:
        """One thumb, 1 or -1; returns when it is stored."""
        post(self._http, "/v1/ratings", {"turn_id": heard.turn_id, "player": heard.player, "value": value})

    def _together(self, scenes: Sequence[Observation]) -> list[Heard]:
        met = [self._as_new(scene) for scene in scenes]
        players = {scene.villager_id: scene.events[-1].who for scene in met}
        return [
            Heard(
                parts[0]["turn_id"], players[villager], " ".join(filter(None, (it["speech"] for it in parts)))
            )
            for villager, parts in decided(self._http, self._game_id, met).items()
        ]

    def _as_new(self, scene: Observation) -> Observation:
        self._met += 1
        who = scene.events[-1].who
        known = re.sub(rf"\b{re.escape(who)}\b", f"{who}{self._met % PLAYERS}", scene.model_dump_json())
        return Observation.model_validate_json(known).model_copy(update={"villager_id": f"v{self._met}"})


def asking_the_way(scenes: Sequence[Observation]) -> Iterator[Observation]:
    """Scenes in which a player speaks and something can be seen: there, they ask for the way to it."""
    chance = random.Random(0)
    for scene in scenes:
        *before, last = scene.events or (None,)
        if last and last.kind is EventKind.SPOKEN_TO and (seen := sorted(_seen(scene, last.who))):
            asked = chance.choice(ASKED).format(chance.choice(seen))
            yield scene.model_copy(update={"events": (*before, last.model_copy(update={"text": asked}))})


def _seen(scene: Observation, speaker: str) -> Iterator[str]:
    """What there is to ask for, as players call it."""
    if around := scene.around:
        yield from (f"the {node.title.lower()}" for node in around.nodes if node.title)
        for thing in around.things:
            if thing.name != speaker and thing.direction != "here":
                yield f"the {thing.title.lower()}" if thing.title else thing.name


def thumbs(heard: Sequence[Heard], taste: Taste, wrong: float, seed: int) -> list[int]:
    """A thumb for each reply, by taste; a share of them is given wrongly."""
    chance = random.Random(seed)
    return [(1 if taste(it.speech) else -1) * (-1 if chance.random() < wrong else 1) for it in heard]


def met(heard: Sequence[Heard], taste: Taste) -> float:
    """Share of replies to the player's taste."""
    return sum(taste(it.speech) for it in heard) / len(heard)
