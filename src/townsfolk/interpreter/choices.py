"""Offers -> the tags that a decision is between, token by token. Free text is no choice.

What may be decided is a small set of tags, so it takes no grammar: each tag is the tokens that the model
itself writes it in (those that the tokenizer makes of its words), and a token is a choice only where two
tags part. A grammar allows every other cut of the same letters too (`w`+`ait` beside `wait`), which costs
passes, and which nobody trained the model for.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from townsfolk.errors import InvalidRequest
from townsfolk.interpreter.grammar import CLOSE, OPEN
from townsfolk.types import Offer, Slot

Piece = tuple[int, ...]
"""Tokens of a tag's opening and name, of one argument or of its end."""
_CACHE = 4_096


@dataclass(frozen=True)
class _Path:
    """One way to go on: what is left of a piece, then one of the alternatives for each piece after it."""

    tokens: Piece
    rest: tuple[tuple[Piece, ...], ...]

    def next(self) -> Iterator["_Path"]:
        """The ways to go on after the first token; none where it was the tag's last."""
        if len(self.tokens) > 1:
            yield _Path(self.tokens[1:], self.rest)
        elif self.rest:
            yield from (_Path(piece, self.rest[1:]) for piece in self.rest[0])


class ChoiceCompiler:
    """Makes constraints for one tokenizer; pieces are encoded once, since villagers see the same things."""

    def __init__(self, encode: Callable[[str], Sequence[int]], vocab_size: int) -> None:
        self._words = -(-vocab_size // 32)
        self._piece = lru_cache(_CACHE)(lambda text: tuple(encode(text)))

    def constraint(self, offers: Iterable[Offer]) -> "ChoiceConstraint":
        """A fresh constraint for one decision.

        Raises:
            InvalidRequest: there is nothing to choose from.
        """
        paths = [self._path(offer) for offer in offers if all(slot.kind != "text" for slot in offer.slots)]
        if not paths:
            raise InvalidRequest(
                "no action can be offered: register at least one without a target, like wait"
            )
        return ChoiceConstraint(paths, self._words)

    def _path(self, offer: Offer) -> _Path:
        slots = (tuple(self._piece(f" {value}") for value in _values(slot)) for slot in offer.slots)
        return _Path(self._piece(OPEN + offer.name), (*slots, (self._piece(CLOSE),)))


class ChoiceConstraint:
    """The engine's view of a decision under way."""

    sharp = True
    """A decision is the likeliest, never drawn."""
    fork: tuple[int, ...] = ()

    def __init__(self, paths: list[_Path], words: int) -> None:
        self._paths, self._words = paths, words

    @property
    def done(self) -> bool:
        """The tag is complete."""
        return not self._paths

    def mask(self) -> NDArray[np.int32]:
        """int32 [ceil(vocab / 32)]: bit t set where token t may come next."""
        mask = np.zeros(self._words, np.uint32)
        for token in _tokens(self._paths):
            mask[token // 32] |= np.uint32(1 << token % 32)
        return mask.view(np.int32)

    def advance(self, token: int) -> None:
        """Take `token`, which the mask allowed."""
        self._paths = _after(self._paths, token)

    def forced(self) -> list[int]:
        """Tokens up to where the tags part; they are not yet taken."""
        forced: list[int] = []
        paths = self._paths
        while len(choice := _tokens(paths)) == 1:
            forced += choice
            paths = _after(paths, forced[-1])
        return forced


def _tokens(paths: list[_Path]) -> set[int]:
    return {path.tokens[0] for path in paths}


def _after(paths: list[_Path], token: int) -> list[_Path]:
    return [after for path in paths if path.tokens[0] == token for after in path.next()]


def _values(slot: Slot) -> Iterable[str | int]:
    return slot.choices if slot.kind == "choice" else round_numbers(slot.min, slot.max)


def round_numbers(low: int, high: int) -> list[int]:
    """A few of the whole numbers from `low` to `high`, no two of which begin alike.

    Digits are tokens of their own: so a number is one choice, where all of them would be one for each digit.
    """
    some = [value for value in (low, 1, 2, 5, high) if low <= value <= high]
    by_first_digit: dict[str, int] = {}
    for value in some:
        by_first_digit.setdefault(str(value)[0], value)
    return list(by_first_digit.values())
