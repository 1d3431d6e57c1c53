"""Offers -> grammar: what may be decoded now, so that every tag parses and its target exists.

A reply is one action tag, then speech on one line: `[[ACTION:follow sam]] Lead on!`. The tag comes first
so that a villager starts to act while it still talks; an unaided persona may leave it out. An answer for
which nothing is offered is speech alone; a decision, which is a tag alone, needs no grammar: see choices.
The text here is Lark, in the dialect that llguidance compiles.
"""

import json
import re
from collections.abc import Sequence

from townsfolk.errors import InvalidRequest
from townsfolk.types import Offer, Slot

OPEN, CLOSE = "[[ACTION:", "]]"
_TAG_LIKE = re.compile(r"\[*[ \t]*\bACTION[ \t]*:[^\]\n]*\]*", re.IGNORECASE)

# Neither brackets (so no second tag), nor control characters, nor the marks that dress up control tokens.
_PLAIN = r"[^\x00-\x1f\x7f\[\]<>|{}"
# One or two sentences; after the last mark only the end of the reply may follow.
SPEECH = rf"{_PLAIN}\s.!?]{_PLAIN}.!?]*[.!?]+( {_PLAIN}.!?]+[.!?]+)?"
# What llguidance prepares a token mask for: nearly all steps within speech, then 10 us a step and not 700.
SLICES = [rf"{_PLAIN}.!?]+"]
# The inside of a quoted argument: no quote, no bracket, no new line, not empty.
_QUOTED = r'[^"\\\x00-\x1f\x7f\[\]<>|{{}}]{{1,{max_length}}}'


def reply_grammar(offers: Sequence[Offer], *, optional: bool = False) -> str:
    """Lark text for a reply that carries out one of `offers`, if there are any, and then speaks.

    Args:
        optional: it may also just speak.
    """
    if not offers:
        return f"start: /{SPEECH}/\n"
    names = " | ".join(f"a{n}" for n in range(len(offers)))
    rules = [f"start: tag / {SPEECH}/", f"tag: {names}"]
    if optional:
        rules[0] += f" | /{SPEECH}/"
    rules += [f"a{n}: {_action(offer)}" for n, offer in enumerate(offers)]
    return "\n".join(rules) + "\n"


def _action(offer: Offer) -> str:
    parts = [json.dumps(f"{OPEN}{offer.name}")]
    for slot in offer.slots:
        parts += ['" "', _slot(slot)]
    return " ".join([*parts, json.dumps(CLOSE)])


def _slot(slot: Slot) -> str:
    if slot.kind == "choice":
        return f"({' | '.join(json.dumps(choice) for choice in slot.choices)})"
    if slot.kind == "int":
        return f"/{int_pattern(slot.min, slot.max)}/"
    return '"\\"" /' + _QUOTED.format(max_length=slot.max_length) + '/ "\\""'


def int_pattern(low: int, high: int) -> str:
    """A regular expression of exactly the whole numbers from `low` to `high`, without leading zeros."""
    if low > high:
        raise InvalidRequest(f"no whole number lies from {low} to {high}: min must not be over max")
    if low < 0:
        negative = f"-({int_pattern(max(1, -high), -low)})"
        return negative if high < 0 else f"({negative}|{int_pattern(0, high)})"
    patterns = [_same_length(str(start), str(stop)) for start, stop in _by_length(low, high)]
    return f"({'|'.join(patterns)})"


def _by_length(low: int, high: int) -> list[tuple[int, int]]:
    """The ranges of equal digit count that make up low..high."""
    ranges = []
    while low <= high:
        stop = min(high, 10 ** len(str(low)) - 1)
        ranges.append((low, stop))
        low = stop + 1
    return ranges


def _same_length(low: str, high: str) -> str:
    """Digits from `low` to `high`, both of the same length."""
    if low == high:
        return low
    if len(low) == 1:
        return f"[{low}-{high}]"
    if low[0] == high[0]:
        return low[0] + _same_length(low[1:], high[1:])
    rest = len(low) - 1
    parts = [low[0] + _same_length(low[1:], "9" * rest)]
    if int(high[0]) - int(low[0]) > 1:
        parts.append(f"[{int(low[0]) + 1}-{int(high[0]) - 1}]" + "[0-9]" * rest)
    parts.append(high[0] + _same_length("0" * rest, high[1:]))
    return f"({'|'.join(parts)})"


def defuse(text: str) -> str:
    """`text` without tags, so that what a player wrote can't be copied out as one.

    What a tag holds goes with it: a small model shown half a tag writes the other half. Control tokens need
    no care here: the tokenizer never makes them from text.
    """
    return re.sub(r"\[\[+", "[", re.sub(r"\]\]+", "]", _TAG_LIKE.sub("…", text)))
