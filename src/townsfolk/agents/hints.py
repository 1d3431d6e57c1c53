"""What a player said -> the action it asks for and the facts it touches.

A base model of this size does not infer either from a list; shown the likely one beside the words, it
picks and fills it in. The hints are suggestions in the prompt, never orders: the model still decides.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from townsfolk.agents.session import View
from townsfolk.agents.words import SLOTS, call, phrase_words, without_asides
from townsfolk.types import ActionSpec, ArgKind, Node, Offer, Persona, Slot, Thing, fill, words

MATCH = 0.75
SHORT = 5
"""A phrase of one word ("stop") is heard only in what has no more words than this."""
MAX_FACTS = 2
LONG = 4
"""Shorter words of a question ("the", "is") are no topic to look for on signs."""
MAX_SIGN = 60
_NEGATIONS = frozenset({"dont", "not", "never", "no"})
_IDLE = frozenset({"the", "could", "what", "thi", "there", "need", "want", "get", "set", "thing", "help"})
"""Words of one action's phrases that are said of anything."""


class RequestMatcher:
    """Finds the actions whose phrases resemble what was said.

    The score is the share of a phrase's weight that the words cover, each word weighing its inverse
    document frequency (Spärck Jones, 1972) over all phrases of the registry.
    """

    def __init__(self, specs: Iterable[ActionSpec]) -> None:
        self._phrases = [
            (spec.name, frozenset(phrase_words(phrase))) for spec in specs for phrase in _phrases(spec)
        ]
        seen = Counter(word for _, phrase in self._phrases for word in phrase)
        total = len(self._phrases)
        self._weight = {word: math.log(1 + total / count) for word, count in seen.items()}
        users = Counter(word for words_of in _words_by_action(self._phrases).values() for word in words_of)
        self._telling = {
            name: {word for word in its if users[word] == 1} - SLOTS - _IDLE
            for name, its in _words_by_action(self._phrases).items()
        }

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The words that things are asked for with."""
        return frozenset(self._weight) - SLOTS

    def asked(self, text: str, view: View) -> tuple[str, ...]:
        """The action that `text` most likely asks for, as a tuple of one, or none.

        `{item}`, `{node}`, `{player}` and `{creature}` in a phrase stand for the name of one in `view`.
        """
        said = frozenset(words(text))
        named = said | {slot for slot, names in _slots(view).items() if said & names}
        fitting = [(phrase, name) for name, phrase in self._phrases if self._fits(phrase, named)]
        best = max(fitting, key=lambda found: self._sum(found[0] & named), default=None)
        return (best[1],) if best else ()

    def speaks_of(self, text: str, spec: ActionSpec, view: View) -> bool:
        """Whether `text` has anything to do with the action: it holds a telling word of its phrases, or the
        name of what it would be done with."""
        said = frozenset(words(text))
        return bool(said & (self._telling.get(spec.name, set()) | _objects(spec, view)))

    def _fits(self, phrase: frozenset[str], said: frozenset[str]) -> bool:
        if (said & _NEGATIONS) - phrase or (phrase & SLOTS) - said:
            return False
        if len(phrase) == 1 and len(said) > SHORT:
            return False
        return bool(phrase) and self._sum(phrase & said) >= MATCH * self._sum(phrase)

    def _sum(self, found: Iterable[str]) -> float:
        return sum(self._weight[word] for word in found)


def facts(text: str, view: View, persona: Persona, name: str) -> tuple[str, ...]:
    """What the villager sees or knows that `text` speaks of, most telling first."""
    said = frozenset(words(text))
    found = [*_seen(said, (*view.around.nodes, *view.around.things)), *_carried(said, view)]
    found += [*_written(said, view), *knowledge(text, persona, name)]
    return tuple(dict.fromkeys(found))[:MAX_FACTS]


def knowledge(text: str, persona: Persona, name: str) -> tuple[str, ...]:
    """What the persona knows that `text` speaks of."""
    said = frozenset(words(text))
    touched = (it for it in persona.knowledge if any(set(words(topic)) <= said for topic in it.about))
    return tuple(fill(known.says, name=name) for known in touched)[:MAX_FACTS]


def _slots(view: View) -> dict[str, frozenset[str]]:
    """Placeholder -> the words that can stand for it now."""
    near = view.around.things
    items = [call(stack.name) for stack in view.me.inventory]
    items += [call(it.name, it.title) for it in near if it.kind == "item"]
    return {
        "{item}": _all_words(items),
        "{node}": _all_words(call(node.name, node.title) for node in view.around.nodes),
        "{player}": _all_words(it.name for it in near if it.kind == "player"),
        "{creature}": _all_words(call(it.name, it.title) for it in near if it.kind != "item"),
    }


def _phrases(spec: ActionSpec) -> Iterator[str]:
    """Those of the registry. What is to be hurt has a name, too: "strike it down", "strike greta down"."""
    yield from spec.phrases
    if spec.hostile:
        yield from (phrase.replace(" it", " {creature}") for phrase in spec.phrases if " it" in phrase)


def _words_by_action(phrases: Iterable[tuple[str, frozenset[str]]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, phrase in phrases:
        found.setdefault(name, set()).update(phrase)
    return found


def as_named(offers: Iterable[Offer], text: str, view: View) -> tuple[Offer, ...]:
    """Where the words name some of the things that can be chosen, those alone: "place the tnt" is no wish for
    a diamond. A harmless creature is to be chosen only where it is named."""
    said = frozenset(words(text))
    named = {name for name, title in called_in(view) if said & frozenset(words(title))}
    harmless = {it.name for it in view.around.things if it.kind == "mob" and not it.hostile}

    def of_named(slot: Slot) -> Slot:
        kept = [name for name in slot.choices if name in named]
        kept = kept or [name for name in slot.choices if name not in harmless]
        return slot.model_copy(update={"choices": tuple(kept)})

    narrowed = (offer.model_copy(update={"slots": tuple(map(of_named, offer.slots))}) for offer in offers)
    return tuple(it for it in narrowed if all(slot.kind != "choice" or slot.choices for slot in it.slots))


def called_in(view: View) -> Iterator[tuple[str, str]]:
    """(name, what it is called) of all that is carried or near, but for people."""
    yield from ((stack.name, call(stack.name)) for stack in view.me.inventory)
    yield from ((node.name, call(node.name, node.title)) for node in view.around.nodes)
    yield from ((it.name, call(it.name, it.title)) for it in view.around.things if it.kind in ("item", "mob"))


def _objects(spec: ActionSpec, view: View) -> frozenset[str]:
    """Words for the things that the action can be done with now."""
    near = view.around.things
    names = {
        ArgKind.CARRIED: [call(stack.name) for stack in view.me.inventory],
        ArgKind.DROPPED: [call(it.name, it.title) for it in near if it.kind == "item"],
        ArgKind.MOB: [call(it.name, it.title) for it in near if it.kind == "mob"],
        ArgKind.NODE: [call(node.name, node.title) for node in view.around.nodes],
    }
    return _all_words(name for arg in spec.args for name in names.get(arg.kind, ()))


def _all_words(names: Iterable[str]) -> frozenset[str]:
    return frozenset(word for name in names for word in words(name))


def _seen(said: frozenset[str], near: Sequence[Node | Thing]) -> list[str]:
    return [
        f"The {call(it.name, it.title)} is {it.distance:.0f} steps {it.direction}."
        for it in near
        if said & set(words(call(it.name, it.title)))
    ]


def _written(said: frozenset[str], view: View) -> list[str]:
    """Signs that name what was asked for; what is written is a player's words, so it is quoted."""
    topics = {word for word in said if len(word) >= LONG}
    return [
        f'A sign {node.distance:.0f} steps {node.direction} says "{without_asides(node.text[:MAX_SIGN])}".'
        for node in view.around.nodes
        if topics & set(words(node.text))
    ]


def _carried(said: frozenset[str], view: View) -> list[str]:
    return [
        f"You have {stack.count} {call(stack.name)}."
        for stack in view.me.inventory
        if said & set(words(call(stack.name)))
    ]
