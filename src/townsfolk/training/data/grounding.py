"""Whether an exchange says and does only what its scene holds. It refuses to judge how well that is said.

A reply is grounded when each game word in it ("iron", "torch", "east") stands for something near, carried,
built or given, or comes from the player's words or the persona's knowledge. Words that the game's titles
share with everyday speech ("light", "high") are no game words: see `names.EVERYDAY`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import get_args

from townsfolk.training.data.acts import impossible, inconsistent
from townsfolk.training.data.exchange import Exchange, parts_of
from townsfolk.training.data.names import Names
from townsfolk.types import ActionSpec, Direction, Persona, words


def faults(exchange: Exchange, persona: Persona, names: Names, actions: Sequence[ActionSpec]) -> list[str]:
    """What is wrong with `exchange`, besides its schema; empty when nothing is."""
    return [
        *_unknown(exchange, names),
        *_absent(exchange, persona, names),
        *impossible(exchange, persona, actions),
        *inconsistent(exchange, persona, names),
    ]


def _unknown(exchange: Exchange, names: Names) -> Iterator[str]:
    seen = [what.rpartition(" ") for what in exchange.near]
    registered = [name for kind, _, name in seen if kind in ("", "mob", "item")]
    for name in (*registered, *exchange.have, *exchange.gift, *exchange.built, exchange.holds):
        if name and name not in names.titles:
            yield f"{name} is no name of the game: take one of data/names"
    for kind, _, name in seen:
        if not kind and name in names.titles and name not in names.notable:
            yield f"villagers take no note of {name}: see mod/townsfolk/src/notable.lua"


def _absent(exchange: Exchange, persona: Persona, names: Names) -> Iterator[str]:
    known = frozenset(words(" ".join((*_shown(exchange, names), *known_to(persona)))))
    absent = sorted((frozenset(words(exchange.reply)) & names.words) - known)
    if absent:
        yield f"the reply speaks of {', '.join(absent)}, which the scene does not show"
    told = {way for way in get_args(Direction)[:-1] if re.search(rf"\b{way}\b", exchange.reply.lower())}
    seen = {parts_of(place)[1] for place in exchange.near.values()}
    wrong = sorted(told - seen - {*words(exchange.said)} - {exchange.act.removeprefix("move_")})
    if wrong:
        yield f"the reply says {', '.join(wrong)}, where nothing is"


def _shown(exchange: Exchange, names: Names) -> Iterator[str]:
    scene = (*exchange.near, *exchange.have, *exchange.gift, *exchange.built, exchange.holds, exchange.act)
    for name in (part for text in scene for part in text.split(" ")):
        yield re.sub("[:_]", " ", name)
        yield names.titles.get(name, "")
    yield from (exchange.said, exchange.doing, exchange.remembers, *exchange.near.values())


def known_to(persona: Persona) -> Iterator[str]:
    """What a persona may speak of wherever it is."""
    yield from (persona.title, persona.speech)
    for known in persona.knowledge:
        yield from (known.says, *known.about)
