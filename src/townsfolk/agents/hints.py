"""What a player said -> the action it asks for and the facts it touches.

A base model of this size does not infer either from a list; shown the likely one beside the words, it
picks and fills it in. The hints are suggestions in the prompt, never orders: the model still decides.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from townsfolk.agents.session import View
from townsfolk.types import ActionSpec, Node, Persona, Thing

MATCH = 0.75
MAX_FACTS = 2
_NEGATIONS = frozenset({"dont", "not", "never", "no"})


class RequestMatcher:
    """Finds the actions whose phrases resemble what was said.

    The score is the share of a phrase's weight that the words cover, each word weighing its inverse
    document frequency (Spärck Jones, 1972) over all phrases of the registry.
    """

    def __init__(self, specs: Iterable[ActionSpec]) -> None:
        self._phrases = [(spec.name, frozenset(words(phrase))) for spec in specs for phrase in spec.phrases]
        seen = Counter(word for _, phrase in self._phrases for word in phrase)
        total = len(self._phrases)
        self._weight = {word: math.log(1 + total / count) for word, count in seen.items()}

    def asked(self, text: str) -> tuple[str, ...]:
        """The action that `text` most likely asks for, as a tuple of one, or none."""
        said = frozenset(words(text))
        best: tuple[float, str] | None = None
        for name, phrase in self._phrases:
            if (said & _NEGATIONS) - phrase:
                continue
            covered = self._sum(phrase & said)
            if phrase and covered >= MATCH * self._sum(phrase) and (best is None or covered > best[0]):
                best = (covered, name)
        return (best[1],) if best else ()

    def _sum(self, found: Iterable[str]) -> float:
        return sum(self._weight[word] for word in found)


def facts(text: str, view: View, persona: Persona, name: str) -> tuple[str, ...]:
    """What the villager sees or knows that `text` speaks of, most telling first."""
    said = frozenset(words(text))
    found = [*_seen(said, (*view.around.nodes, *view.around.things)), *_carried(said, view)]
    found += [
        fill(known.says, name=name)
        for known in persona.knowledge
        if any(set(words(topic)) <= said for topic in known.about)
    ]
    return tuple(dict.fromkeys(found))[:MAX_FACTS]


def call(name: str, title: str = "") -> str:
    """How a registered name is called in speech: its title, else the name without its mod."""
    return title or name.rpartition(":")[2].replace("_", " ")


def fill(text: str, **values: str) -> str:
    """`text` of a persona file with `{name}` and the like replaced; other braces stay as they are."""
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", value)
    return text


def words(text: str) -> list[str]:
    """Lower-case words, plurals and apostrophes taken off."""
    plain = re.sub(r"['’]", "", text.lower())
    return [
        word[:-1] if len(word) > 3 and word.endswith("s") else word
        for word in re.findall(r"[a-z0-9]+", plain)
    ]


def _seen(said: frozenset[str], near: Sequence[Node | Thing]) -> list[str]:
    return [
        f"The {call(it.name, it.title)} is {it.distance:.0f} steps {it.direction}."
        for it in near
        if said & set(words(call(it.name, it.title)))
    ]


def _carried(said: frozenset[str], view: View) -> list[str]:
    return [
        f"You have {stack.count} {call(stack.name)}."
        for stack in view.me.inventory
        if said & set(words(call(stack.name)))
    ]
