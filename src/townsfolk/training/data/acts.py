"""Whether what a villager does can be done, and follows from the scene as it always does.

A model learns a rule only where its examples keep one: here are those that can be checked, all of them are in
docs/dataset_formats.md. It refuses to judge words: `grounding` does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from townsfolk.training.data.exchange import Exchange, parts_of
from townsfolk.training.data.names import Names
from townsfolk.types import ActionSpec, ArgKind, ArgSpec, Persona

FIGHT_WITHIN, FLEE_WITHIN = 8, 3
"""Steps from which something hostile makes a fighter fight, and others run."""
_KINDS = {
    ArgKind.PLAYER: ("player",),
    ArgKind.CREATURE: ("player", "villager", "mob"),
    ArgKind.MOB: ("mob",),
    ArgKind.DROPPED: ("item",),
    ArgKind.NODE: ("",),
    ArgKind.PLACE: ("", "player", "villager", "mob"),
}
"""What a name stands for in `near`, by the kind of the argument that takes it; nodes have no kind there."""


def impossible(exchange: Exchange, persona: Persona, actions: Sequence[ActionSpec]) -> Iterator[str]:
    """Why the game could not carry out `exchange.act`."""
    if not exchange.act:
        return
    name, *arguments = exchange.act.split(" ")
    specs = {spec.name: spec.args for spec in actions}
    if name not in persona.actions or name not in specs:
        yield f"a {persona.name} never does {name}: its actions are {', '.join(persona.actions)}"
    elif len(arguments) != len(specs[name]):
        yield f"{exchange.act}: {name} takes {', '.join(arg.name for arg in specs[name]) or 'nothing'}"
    else:
        given = [*zip(arguments, specs[name], strict=True)]
        unfit = [fault for value, arg in given for fault in _unfit(exchange, value, arg)]
        yield from unfit or _too_much(exchange, {arg.kind: value for value, arg in given})


def inconsistent(exchange: Exchange, persona: Persona, names: Names) -> Iterator[str]:
    """Which rule `exchange.act` breaks."""
    did = exchange.act.partition(" ")[0]
    if exchange.topic == "greeting" and did != "wave":
        yield "who comes or goes is waved to; make a mere question smalltalk"
    if exchange.punched and did not in persona.unasked.punched:
        yield f"a blow is answered by {' or '.join(persona.unasked.punched)}"
    gives = "give" in persona.unasked.gift and bool(exchange.have)
    if exchange.gift and (did == "give") != gives:
        yield "who gives in return does so whenever anything is carried, and nobody else ever does"
    fights = "attack" in persona.actions
    within = FIGHT_WITHIN if fights else FLEE_WITHIN
    if not did and any(steps <= within for steps in _threats(exchange, names)):
        yield f"something hostile within {within} steps is {'fought' if fights else 'fled from'}"


def _too_much(exchange: Exchange, given: Mapping[ArgKind, str]) -> Iterator[str]:
    """Where an action says how much of what is carried."""
    item, count = given.get(ArgKind.CARRIED), given.get(ArgKind.INT)
    if item and count and int(count) > _carried(exchange)[item]:
        yield f"{exchange.act}: give what is carried, and not more of it"


def _unfit(exchange: Exchange, given: str, arg: ArgSpec) -> Iterator[str]:
    if arg.kind is ArgKind.INT:
        if not given.isdecimal() or not arg.min <= int(given) <= arg.max:
            yield f"{exchange.act}: {arg.name} is a number from {arg.min} to {arg.max}"
    elif arg.kind is ArgKind.CARRIED:
        if given not in _carried(exchange):
            yield f"{exchange.act}: {given} is not carried"
    elif given not in _near(exchange, arg.kind):
        yield f"{exchange.act}: {given} is not near, or no {arg.kind}"


def _near(exchange: Exchange, kind: ArgKind) -> Iterable[str]:
    """Names near that an argument of this kind takes; who speaks is always near."""
    seen = [what.rpartition(" ") for what in exchange.near]
    found = {name for what, _, name in seen if what in _KINDS[kind]}
    found |= {"{player}"} if "player" in _KINDS[kind] else set()
    return found | {"home"} if kind is ArgKind.PLACE else found


def _carried(exchange: Exchange) -> dict[str, int]:
    items = {*exchange.have, *exchange.gift}
    return {item: exchange.have.get(item, 0) + exchange.gift.get(item, 0) for item in items}


def _threats(exchange: Exchange, names: Names) -> Iterator[int]:
    """How many steps off each hostile creature is."""
    for what, place in exchange.near.items():
        if what.rpartition(" ")[2] in names.hostile:
            yield parts_of(place)[0]
