"""Rows of the tiny model that players judged by a plain preference: some tokens are liked, others are not."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from townsfolk.training.stages.tokens import Ids, TokenRow

END = 2
"""The tiny model's end of a turn."""
SHARED: Ids = tuple(range(10, 20))
"""What every prompt begins with."""
LIKED, DISLIKED, AUTHORED = (30, 31, 32), (60, 61, 62), (80, 81, 82)
"""What replies are made of."""


def rated_rows(count: int, seed: int = 0) -> list[TokenRow]:
    """Rows judged alone, one after the other up and down."""
    draw = Random(seed)
    return [
        replace(_row(draw, f"up{n}", LIKED), reward=1.0)
        if n % 2
        else replace(_row(draw, f"down{n}", DISLIKED), reward=-1.0)
        for n in range(count)
    ]


def authored_rows(count: int, seed: int = 0) -> list[TokenRow]:
    """Rows that nobody judged."""
    draw = Random(seed)
    return [_row(draw, f"authored{n}", AUTHORED) for n in range(count)]


def paired_rows(count: int, seed: int = 0) -> list[TokenRow]:
    """Rows with a rejected reply."""
    draw = Random(seed)
    return [replace(_row(draw, f"pair{n}", LIKED), rejected=_reply(draw, DISLIKED)) for n in range(count)]


def _row(draw: Random, name: str, tokens: Sequence[int]) -> TokenRow:
    prompt = (*SHARED, *(draw.randrange(100, 250) for _ in range(draw.randint(3, 9))))
    return TokenRow(name, "guard", name, prompt, len(SHARED), _reply(draw, tokens))


def _reply(draw: Random, tokens: Sequence[int]) -> Ids:
    return (*draw.choices(tokens, k=draw.randint(2, 6)), END)
