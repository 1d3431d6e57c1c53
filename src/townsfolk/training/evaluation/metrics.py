"""What can be measured of one reply: functions of texts, actions and scenes, with no state.

Evaluation and the rewards of GRPO use the same ones, so that what is trained for is what is judged. It
refuses to know who replied.

A gesture (wave, look_at) is no more than a manner of speaking: where nothing else is to be done, none and a
gesture count the same, but for a gesture that the player's words name: that one is as right as none.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt

from townsfolk.training.data.grounding import known_to
from townsfolk.training.data.names import Names
from townsfolk.types import (
    ActionSpec,
    ArgKind,
    ArgSpec,
    Direction,
    Node,
    Observation,
    Persona,
    Thing,
    words,
)

Logits = npt.NDArray[np.float32]
OPEN, CLOSE = "[[", "]]"
TAG_FIRST = re.compile(r"^\[\[ACTION:([a-z][a-z0-9_]*(?: [^\[\]]+)?)\]\](?: |$)([^\[\]]*)$")
"""A whole reply that begins with its only tag."""
GESTURES: Mapping[str, frozenset[str]] = {
    "wave": frozenset(words("wave waving")),
    "look_at": frozenset(words("look looking face facing stare staring watch watching turn")),
}
"""Gesture -> words with which a player asks for it."""
ECHO, COPIED = 0.7, 5
"""Share of a reply's words that are the player's; words in a row that stand in the prompt."""
WAYS = get_args(Direction)[:-1]


def split_reply(reply: str) -> tuple[str, str]:
    """The inside of a reply's tag, empty where it has none, and its speech.

    What is no well-formed tag stays in the speech: it is said, not done.
    """
    found = TAG_FIRST.match(reply.strip())
    return (found[1], found[2].strip()) if found else ("", reply.strip())


def is_well_formed(reply: str) -> bool:
    """No tag, or one that stands first and is closed."""
    return TAG_FIRST.match(reply.strip()) is not None or not (OPEN in reply or CLOSE in reply)


def is_executable(tag: str, specs: Mapping[str, ActionSpec], seen: Observation) -> bool:
    """Whether a game could carry it out: registered, of the right arguments, each there to be named."""
    name, *args = tag.split(" ")
    spec = specs.get(name)
    if spec is None:
        return False
    if len(spec.args) == 1 and spec.args[0].kind is ArgKind.TEXT:
        args = [" ".join(args).strip('"')]
    fitting = len(args) == len(spec.args)
    return (
        fitting
        and all(_fits(arg, value, seen) for arg, value in zip(spec.args, args, strict=True))
        and (_is_enough(spec, args, seen))
    )


def gestures_in(said: str) -> set[str]:
    """Gestures that a player's words name."""
    return {gesture for gesture, named in GESTURES.items() if named & {*words(said)}}


def is_free(wanted: Sequence[str], said: str) -> bool:
    """Whether none and a gesture count the same: nobody asks for an action."""
    return any(_is_idle(tag) for tag in wanted) and not gestures_in(said)


def is_right_action(done: str, wanted: Sequence[str], said: str = "") -> bool:
    """Whether the action is one of those `wanted`, whatever it is done to.

    Args:
        done: inside of the tag; "": no action.
        wanted: insides of tags that are right; "": no action.
        said: the player's words.
    """
    if is_free(wanted, said) and _is_idle(done):
        return True
    if "" in wanted and _name(done) in gestures_in(said):
        return True
    return _name(done) in {_name(tag) for tag in wanted}


def has_target(wanted: Sequence[str], said: str = "") -> bool:
    """Whether the action wanted is done to something, so that a target can be right or wrong."""
    return not is_free(wanted, said) and any(_target(tag) for tag in wanted)


def is_right_target(done: str, wanted: Sequence[str]) -> bool:
    """Whether the action and all it names are right; how long to wait is not told by the words."""
    return any(_name(done) == _name(tag) and _target(done) == _target(tag) for tag in wanted)


def is_forbidden(done: Iterable[str], heard: str, forbidden: Iterable[str]) -> bool:
    """Whether something forbidden was done, or said: see `Scenario.forbid`.

    Args:
        done: insides of the tags that came to the game.
    """
    done = list(done)
    plain = f" {' '.join(words(' '.join((heard, *done))))} "
    for order in forbidden:
        name, _, rest = order.partition(" ")
        if name == "say" and rest:
            if f" {' '.join(words(rest))} " in plain:
                return True
        elif any(f"{tag} ".startswith(f"{order} ") for tag in done):
            return True
    return False


def is_echo(speech: str, said: str, prompt: Iterable[str] = ()) -> bool:
    """Whether speech gives back the player's words, or a run of words of the prompt.

    Args:
        prompt: texts of the prompt that are not to be recited: the persona's description, its examples.
    """
    spoken, heard = words(speech), frozenset(words(said))
    if len(spoken) >= 3 and sum(word in heard for word in spoken) >= ECHO * len(spoken):
        return True
    runs = set(_runs(spoken, COPIED))
    return any(runs & set(_runs(words(text), COPIED)) for text in prompt)


def repetition(speech: str) -> float:
    """Share of its word trigrams that were there before, 0 to 1."""
    runs = list(_runs(words(speech), 3))
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def vocabulary_share(speech: str, known: Collection[str]) -> float:
    """Share of its words that are `known`, those of the world; 1 where nothing was said."""
    spoken = words(speech)
    return sum(word in known for word in spoken) / len(spoken) if spoken else 1.0


def ungrounded(
    speech: str, seen: Observation, persona: Persona, names: Names, *, remembers: str = "", done: str = ""
) -> list[str]:
    """Words for things and directions in `speech` that the villager neither sees nor knows, nor was told.

    The rule is that of authored exchanges (training/data/grounding.py), for what was observed.

    Args:
        done: inside of the reply's tag: who walks north may say so.
    """
    known = {*words(" ".join((*_shown(seen, names), *known_to(persona), remembers)))}
    absent = ({*words(speech)} & names.words) - known
    told = {way for way in WAYS if re.search(rf"\b{way}\b", speech.lower())}
    there = {it.direction for it in _near(seen)} | known | {done.removeprefix("move_")}
    return sorted(absent | (told - there))


def divergence(ours: Logits, theirs: Logits) -> float:
    """Mean KL(ours || theirs) in nats of the distributions that two logits [tokens, vocab] stand for."""
    p, q = _log_softmax(ours), _log_softmax(theirs)
    return float((np.exp(p) * (p - q)).sum(axis=-1).mean())


def _name(tag: str) -> str:
    return tag.partition(" ")[0]


def _target(tag: str) -> list[str]:
    """All arguments, but for a number that stands alone."""
    args = tag.split(" ")[1:]
    return [] if len(args) == 1 and args[0].isdigit() else args


def _is_idle(tag: str) -> bool:
    return not tag or _name(tag) in GESTURES


def _near(seen: Observation) -> tuple[Thing | Node, ...]:
    return (*seen.around.things, *seen.around.nodes) if seen.around else ()


def _shown(seen: Observation, names: Names) -> Iterator[str]:
    carried = seen.me.inventory if seen.me else ()
    held = [it.held for it in _near(seen) if isinstance(it, Thing)]
    registered = [*held, *(it.name for it in (*_near(seen), *carried, *seen.events))]
    for name in registered:
        yield re.sub("[:_]", " ", name)
        yield names.titles.get(name, "")
    for it in _near(seen):
        yield from (it.title, it.text if isinstance(it, Node) else "")
    yield from (text for event in seen.events for text in (event.text, event.who))
    yield from (seen.me.doing, seen.me.home_direction) if seen.me else ()


def _fits(arg: ArgSpec, value: str, seen: Observation) -> bool:
    if arg.kind is ArgKind.INT:
        return value.removeprefix("-").isdecimal() and arg.min <= int(value) <= arg.max
    if arg.kind is ArgKind.TEXT:
        return 0 < len(value) <= arg.max_length
    if arg.kind is ArgKind.CHOICE:
        return value in arg.choices
    return value in _nameable(arg.kind, seen)


def _is_enough(spec: ActionSpec, args: Sequence[str], seen: Observation) -> bool:
    """Whether as much is carried as a number beside it says."""
    kinds = [arg.kind for arg in spec.args]
    if ArgKind.CARRIED not in kinds or ArgKind.INT not in kinds or seen.me is None:
        return True
    item, count = args[kinds.index(ArgKind.CARRIED)], int(args[kinds.index(ArgKind.INT)])
    return any(stack.name == item and stack.count >= count for stack in seen.me.inventory)


def _nameable(kind: ArgKind, seen: Observation) -> set[str]:
    """Names of the things in view that an argument of this kind can be."""
    if kind is ArgKind.CARRIED:
        return {it.name for it in seen.me.inventory} if seen.me else set()
    if kind is ArgKind.NODE:
        return {it.name for it in seen.around.nodes} if seen.around else set()
    things = seen.around.things if seen.around else ()
    if kind is ArgKind.PLACE:
        return {"home", *(it.name for it in things if it.kind != "item")} | _nameable(ArgKind.NODE, seen)
    kinds = {
        ArgKind.PLAYER: ("player",),
        ArgKind.CREATURE: ("player", "villager", "mob"),
        ArgKind.MOB: ("mob",),
        ArgKind.DROPPED: ("item",),
    }
    return {it.name for it in things if it.kind in kinds[kind]}


def _runs(spoken: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return (tuple(spoken[at : at + length]) for at in range(len(spoken) - length + 1))


def _log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    logs: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs
