"""What a grammar must offer to steer decoding. Whoever owns the grammar implements it; the engine asks."""

from collections.abc import Sequence
from typing import Protocol

from townsfolk.engine.runner import Mask


class Constraint(Protocol):
    """The state of one reply's grammar. The engine's thread alone calls it, in the order of the tokens.

    A method may raise a TownsfolkError: the request then ends with "error", the others go on.
    """

    @property
    def done(self) -> bool:
        """The reply is complete: the engine asks for no more tokens."""
        ...

    @property
    def sharp(self) -> bool:
        """The next token is to be the likeliest allowed, whatever the request's sampling says."""
        ...

    @property
    def fork(self) -> Sequence[int]:
        """Tokens that begin one of two ways on, where the next token decides between them; else none.

        The way with more than half of the probability is taken: the likeliest token alone would favour a way
        that begins in few tokens over one that begins in many.
        """
        ...

    def mask(self) -> Mask | None:
        """Tokens that may come next, [ceil(vocab/32)] int32; None: all."""
        ...

    def advance(self, token: int) -> None:
        """`token` was chosen, or forced."""
        ...

    def forced(self) -> list[int]:
        """Tokens that must come next, for which no decoding is needed; `advance` follows for each."""
        ...
