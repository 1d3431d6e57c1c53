"""One authored exchange -> others like it, in which the right answer follows from another state.

    turned    the compass is turned or mirrored: places, orders to go, and what is said of them
    moved     things whose distance the reply tells are nearer or farther, and it says so
    crowded   other things stand around that have nothing to do with it

What was grounded stays so. It refuses to write new lines: voices are authored.
"""

import re
from collections.abc import Mapping
from random import Random

from townsfolk.training.data.exchange import Exchange, parts_of
from townsfolk.training.data.names import Names
from townsfolk.types import words

COMPASS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
_WAY = re.compile(rf"(?<![a-z])({'|'.join(sorted(COMPASS, key=len, reverse=True))})", re.IGNORECASE)
NUMBERS = words("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty
""")
NEAREST, FARTHEST = 2, 20
"""Steps, as far as `NUMBERS` has words; games tell of nodes up to 14 and creatures up to 16, by default."""
MOST_NEAR, MOST_ADDED = 8, 4
_RELATIVE = frozenset(words("just past beside next by between near behind before after halfway beyond elbow"))
"""Words that hang on how far one thing is from another."""
_ASKS_FOR_ALL = frozenset(
    {"see", "around", "near", "nearby", "here", "there", "anything", "something", "what"}
)


def varied(exchange: Exchange, names: Names, random: Random) -> Exchange:
    """A variant of `exchange`, drawn by `random`; equal to it where nothing can be varied."""
    return crowded(moved(turned(exchange, random), names, random), names, random)


def turned(exchange: Exchange, random: Random) -> Exchange:
    """The compass turned by quarters and perhaps mirrored: one of the eight symmetries of the square."""
    quarters, side = random.randrange(4), random.choice((1, -1))
    by = {way: COMPASS[(side * at + 2 * quarters) % 8] for at, way in enumerate(COMPASS)}
    shown = " ".join((exchange.said, exchange.act, *exchange.near.values()))
    if not _ways(exchange.reply) <= _ways(shown):  # told from knowledge: "glass goes to the south"
        return exchange
    return exchange.model_copy(
        update={
            "said": _turn(exchange.said, by),
            "near": {what: _turn_place(place, by) for what, place in exchange.near.items()},
            "act": _turn(exchange.act, by),
            "reply": _turn(exchange.reply, by),
        }
    )


def moved(exchange: Exchange, names: Names, random: Random) -> Exchange:
    """Each distance that the reply tells drawn anew, so that the order by distance stays.

    What is hostile stays where it is: how far off it is decides what to do (`acts.inconsistent`).
    """
    near, reply = dict(exchange.near), exchange.reply
    if numbers_in(reply) - {parts_of(place)[0] for place in near.values()} or _RELATIVE & {*words(reply)}:
        return exchange  # it reckons: "nine steps, two before the lava", "five north, just past the door"
    for what, place in exchange.near.items():
        steps, *rest = parts_of(place)
        told = _told(reply, steps)
        others = [parts_of(other)[0] for name, other in near.items() if name != what]
        still = what.rpartition(" ")[2] in names.hostile or _told(exchange.said, steps)
        if told and steps not in others and not still:
            low = max((other + 1 for other in others if other < steps), default=NEAREST)
            high = min((other - 1 for other in others if other > steps), default=FARTHEST)
            drawn = random.randint(min(low, steps), max(high, steps))
            near[what] = _place(drawn, *rest)
            reply = re.sub(rf"\b{told}\b", _like(told, drawn), reply, count=1)
    return exchange.model_copy(update={"near": near, "reply": reply})


def crowded(exchange: Exchange, names: Names, random: Random) -> Exchange:
    """Up to `MOST_ADDED` more nodes near, none of which is spoken of."""
    spoken = {*words(f"{exchange.said} {exchange.reply} {exchange.act}")}
    if spoken & _ASKS_FOR_ALL:
        return exchange
    free = [
        name
        for name in sorted(names.notable)
        if name not in exchange.near and not spoken & {*words(names.titles[name])}
    ]
    most = min(MOST_ADDED, max(0, MOST_NEAR - len(exchange.near)))
    added = random.sample(free, random.randint(0, most))
    places = {name: f"{random.randint(NEAREST, FARTHEST)} {random.choice(COMPASS)}" for name in added}
    return exchange.model_copy(update={"near": {**exchange.near, **places}})


def _ways(text: str) -> set[str]:
    return {way.lower() for way in _WAY.findall(text)}


def _turn(text: str, by: Mapping[str, str]) -> str:
    def turn(found: re.Match[str]) -> str:
        way = by[found[0].lower()]
        return way.capitalize() if found[0][0].isupper() else way

    return _WAY.sub(turn, text)


def _turn_place(place: str, by: Mapping[str, str]) -> str:
    """What is written on a sign stays."""
    steps, way, written = parts_of(place)
    return _place(steps, by.get(way, way), written)


def _place(steps: int, way: str, written: str) -> str:
    return f'{steps} {way} "{written}"' if written else f"{steps} {way}"


def numbers_in(text: str) -> set[int]:
    """Numbers that `text` tells, in digits or words."""
    return {NUMBERS.index(w) if w in NUMBERS else int(w) for w in words(text) if w in NUMBERS or w.isdigit()}


def _told(text: str, steps: int) -> str:
    """How `text` tells a number of steps, if it does so once: `9`, `nine`, `Nine`."""
    word = NUMBERS[steps] if steps < len(NUMBERS) else str(steps)
    found = re.findall(rf"\b({steps}|{word})\b", text, re.IGNORECASE)
    return found[0] if len(found) == 1 else ""


def _like(told: str, steps: int) -> str:
    """`steps` written as the number that it replaces."""
    if told.isdigit():
        return str(steps)
    return NUMBERS[steps].capitalize() if told[0].isupper() else NUMBERS[steps]
