"""Ways to ask for an action -> exchanges in many scenes: the right action follows from the state.

`data/orders.yaml` has what players say; what they speak of and what else stands around is drawn. The answers
are the persona's own, from authored exchanges in which it does the same; what is no order is deflected
(`data/deflections.yaml`). It refuses to write lines: a scene
that no authored answer fits is left out.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import yaml
from pydantic import TypeAdapter, ValidationError

from townsfolk.errors import ConfigError
from townsfolk.training.data.exchange import Exchange
from townsfolk.training.data.grounding import faults
from townsfolk.training.data.names import Names
from townsfolk.training.data.vary import COMPASS, FARTHEST, NEAREST, crowded, numbers_in
from townsfolk.types import ActionSpec, Persona, faults_told, words

Lists = Mapping[str, Sequence[str]]
"""Of `orders.yaml`: inside of a tag, with blanks -> what players say for it; empty: what is to be refused.
Of `deflections.yaml`: persona -> how it does so."""
BLANK = re.compile(r"\{(node|mob|villager|dropped|item|count|seconds)\}")
VILLAGERS = ("Hilda", "Corin", "Maeve", "Otto")
SECONDS = (5, 10, 20, 30)
MOST_COUNTED, MOST_SPARE = 9, 5
TRIES = 12
"""Answers tried for a scene before it is left out."""
LONG = 4
"""Letters of a word that, taken up in an answer, makes it an answer to that word."""
SHORT_TITLE = 3
"""Words of a title that players would say."""


@dataclass(frozen=True)
class Voice:
    """Whose orders they are.

    Attributes:
        exchanges: that its answers are taken from.
        deflections: what it says to what is no order.
    """

    persona: Persona
    exchanges: Sequence[Exchange]
    deflections: Sequence[str]
    names: Names
    actions: Sequence[ActionSpec]


def read_lists(file: Path) -> Lists:
    """The lists of lines in a YAML file; none where there is no such file.

    Raises:
        ConfigError: no YAML, or other than lists of lines by name.
    """
    if not file.exists():
        return {}
    try:
        return TypeAdapter(dict[str, tuple[str, ...]]).validate_python(
            yaml.safe_load(file.read_text("utf-8"))
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: can't be read: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{file}: {'; '.join(faults_told(error))}: give lists of lines by name") from error


def group_of(act: str, phrase: str) -> str:
    """All personas' rows of one way to ask are on one side of the split."""
    return f"orders/{hashlib.sha256(f'{act}/{phrase}'.encode()).hexdigest()[:16]}"


def order(voice: Voice, act: str, phrase: str, random: Random) -> Exchange | None:
    """The persona is asked for `act` by `phrase` in a scene that is drawn; None: it never does that.

    An `act` that is empty is one that is refused.
    """
    name = act.partition(" ")[0]
    if name and name not in voice.persona.on_request:
        return None
    scene = _Scene(voice.names, random)
    said, done = scene.filled(phrase, act)
    same = (it for it in voice.exchanges if it.act.partition(" ")[0] == name)
    answers = [it.reply for it in same if _fits_elsewhere(it, said)] if name else voice.deflections
    topic = "orders" if name else "refusal"
    for reply in random.sample(answers, min(TRIES, len(answers))):
        asked = Exchange(said=said, near=scene.near, have=scene.have, act=done, reply=reply, topic=topic)
        if not faults(asked, voice.persona, voice.names, voice.actions):
            return crowded(asked, voice.names, random)
    return None


def _fits_elsewhere(authored: Exchange, said: str) -> bool:
    """Whether its answer hangs on nothing of its own scene or words that `said` lacks."""
    if authored.night or authored.hurt or authored.remembers or authored.built or authored.gift:
        return False
    spoken, heard = {*words(authored.reply)}, {*words(said)}
    named = {word for what in authored.near for word in words(what)}
    taken_up = {word for word in spoken & {*words(authored.said)} if len(word) >= LONG}
    return not numbers_in(authored.reply) and (spoken & named) | taken_up <= heard


class _Scene:
    """What is near and carried, as the blanks of a phrase ask for it."""

    def __init__(self, names: Names, random: Random) -> None:
        self._names, self._random = names, random
        self.near: dict[str, str] = {}
        self.have: dict[str, int] = {}

    def filled(self, phrase: str, act: str) -> tuple[str, str]:
        """What is said and done: titles in what is said, registered names in what is done."""
        drawn = {blank: self._draw(blank) for blank in dict.fromkeys(BLANK.findall(f"{phrase} {act}"))}
        for item in (drawn[blank][0] for blank in ("item",) if blank in drawn):
            counted = int(drawn["count"][0]) if "count" in drawn else 1
            self.have[item] = counted + self._random.randint(0, MOST_SPARE)
        said = BLANK.sub(lambda found: drawn[found[1]][1], phrase)
        return said, BLANK.sub(lambda found: drawn[found[1]][0], act)

    def _draw(self, blank: str) -> tuple[str, str]:
        """(name in the tag, words in the phrase) for a blank; what has a place is put there."""
        if blank in ("count", "seconds"):
            number = (
                self._random.choice(SECONDS) if blank == "seconds" else self._random.randint(2, MOST_COUNTED)
            )
            return str(number), str(number)
        name = self._random.choice(sorted(self._known(blank)))
        kind = {"mob": "mob ", "villager": "villager ", "dropped": "item "}.get(blank, "")
        if blank != "item":
            self.near[f"{kind}{name}"] = (
                f"{self._random.randint(NEAREST, FARTHEST)} {self._random.choice(COMPASS)}"
            )
        return name, self._names.titles.get(name, name).lower() if blank != "villager" else name

    def _known(self, blank: str) -> Iterator[str]:
        if blank == "villager":
            yield from VILLAGERS
        elif blank == "mob":
            yield from self._names.hostile
        else:
            among = self._names.notable if blank == "node" else self._names.titles
            for name in among:
                title = self._names.titles[name]
                if 0 < len(title.split()) <= SHORT_TITLE and not name.startswith("mobs_"):
                    yield name
