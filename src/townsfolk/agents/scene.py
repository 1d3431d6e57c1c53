"""A villager's view -> the sentences that its prompt tells of it, beside what the player says.

A base model of this size is shown what the words touch; an unaided persona, which was trained so, all that
it sees. No meaning is guessed there: near comes before far, what the player names before the rest.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from townsfolk.agents.hints import MAX_SIGN, facts, knowledge
from townsfolk.agents.occasion import Occasion
from townsfolk.agents.session import Past, View
from townsfolk.agents.words import call, without_asides
from townsfolk.types import Event, EventKind, Node, Persona, SelfState, Thing, words

MOST_NEAR, MOST_CARRIED, MOST_BUILT = 12, 10, 6
MOST_DANGERS, MOST_REMEMBERED = 2, 2


def told(past: Past, view: View, occasion: Occasion, persona: Persona) -> list[str]:
    """What the persona is told at this turn; some of the sentences may be empty."""
    remembered = _remembered(occasion.player, past)
    if persona.unaided:
        known = knowledge(occasion.text, persona, past.name)
        return [*_state(view), *_whole(view, occasion, past), remembered, *known]
    touched = facts(occasion.text, view, persona, past.name) if occasion.speech else ()
    return [*_state(view), *_dangers(view), remembered, *touched]


def _state(view: View) -> list[str]:
    night = "" if 0.2 < view.time_of_day < 0.8 else "It is night."
    return [night, "You are hurt." if view.me.hp < view.me.hp_max / 2 else ""]


def _dangers(view: View) -> list[str]:
    hostile = [thing for thing in view.around.things if thing.hostile][:MOST_DANGERS]
    places = [f"{call(it.name, it.title)} is {it.distance:.0f} steps {it.direction}" for it in hostile]
    return [f"A {place}: danger!" for place in places]


def _remembered(player: str, past: Past) -> str:
    return f"{player} {' and '.join(past.kept[-MOST_REMEMBERED:])}." if past.kept else ""


def _whole(view: View, occasion: Occasion, past: Past) -> list[str]:
    """What is near, carried, under way and done, and what players hold and placed here."""
    armed = [it for it in view.around.things if it.kind == "player" and it.held]
    return [
        _listed("Near:", _near(view, occasion)),
        _listed("You carry", _carried(view.me)),
        f"You do: {view.me.doing}." if view.me.doing else "",
        _did(past, occasion),
        *(f"{it.name} holds {call(it.held)}." for it in armed),
        _listed(f"{occasion.player} built", _built(past.placed)),
    ]


def _did(past: Past, occasion: Occasion) -> str:
    """Who goes on by itself goes on from there; who is spoken to answers what is said."""
    return f"You did: {past.did}." if past.did and occasion.kind is EventKind.TICK else ""


def _listed(begin: str, parts: Sequence[str]) -> str:
    return f"{begin} {', '.join(parts)}." if parts else ""


def _near(view: View, occasion: Occasion) -> list[str]:
    """Whom it speaks with is no news."""
    said = frozenset(words(occasion.text))
    around: list[Thing | Node] = [*view.around.things, *view.around.nodes]
    seen = [it for it in around if it.name != occasion.player]
    seen.sort(key=lambda it: (not said & {*words(call(it.name, it.title))}, it.distance))
    return [_told(it) for it in sorted(seen[:MOST_NEAR], key=lambda it: it.distance)]


def _told(it: Thing | Node) -> str:
    place = f"{call(it.name, it.title)} {it.distance:.0f} {it.direction}"
    if isinstance(it, Node):
        return f'{place} "{without_asides(it.text[:MAX_SIGN])}"' if it.text else place
    if it.kind == "mob":
        return f"{place} (danger)" if it.hostile else place
    return f"{it.kind} {place}"


def _carried(me: SelfState) -> list[str]:
    return [f"{stack.count} {call(stack.name)}" for stack in me.inventory[:MOST_CARRIED]]


def _built(placed: Iterable[Event]) -> list[str]:
    counts: Counter[str] = Counter()
    for event in placed:
        counts[event.name] += event.count or 1
    return [f"{count} {call(name)}" for name, count in counts.most_common(MOST_BUILT)]
