"""A grammar at work on one reply: which tokens may come next, which must.

Grammars are compiled by llguidance, over the model's own vocabulary.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Protocol

import llguidance
import llguidance.numpy
import numpy as np
from numpy.typing import NDArray

from townsfolk.errors import InvalidRequest
from townsfolk.interpreter.grammar import CLOSE, OPEN, SLICES

_CACHE = 64
"""Each takes about 125 KB; to compile one takes 2 ms."""


class Tokenizer(Protocol):
    """What is needed of the engine's tokenizer."""

    @property
    def eos_id(self) -> int:
        """The token that ends a text."""

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """What each token stands for, by id."""

    @property
    def silent(self) -> Iterable[int]:
        """Ids that stand for no text."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, all of it plain."""


class GrammarCompiler:
    """Makes constraints; keeps the compiled grammars used last, since villagers often see the same things."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = llguidance.LLTokenizer(
            llguidance.TokenizerWrapper(_Spelling(tokenizer)), slices=SLICES
        )
        opens = OPEN[:1].encode()
        self._opens = tuple(token for token, text in enumerate(tokenizer.token_bytes) if text[:1] == opens)
        self._matchers: OrderedDict[str, llguidance.LLMatcher] = OrderedDict()

    def constraint(self, grammar: str, sharp: bool = True, optional: bool = False) -> "GrammarConstraint":
        """A fresh constraint for one reply.

        Args:
            sharp: decide on the action by the highest logit, whatever temperature speech is drawn at.
            optional: the reply may be speech alone: whether it is, is decided first.

        Raises:
            InvalidRequest: the grammar does not compile; the text of the fault is the compiler's.
        """
        matcher = self._matchers.pop(grammar, None)
        if matcher is None:
            matcher = llguidance.LLMatcher(self._tokenizer, llguidance.LLMatcher.grammar_from_lark(grammar))
            if matcher.is_error():
                raise InvalidRequest(f"grammar can't be compiled: {matcher.get_error()}")
        self._matchers[grammar] = matcher
        if len(self._matchers) > _CACHE:
            self._matchers.popitem(last=False)
        return GrammarConstraint(matcher.deep_copy(), self._tokenizer, sharp, self._opens if optional else ())


class GrammarConstraint:
    """The engine's view of a grammar: a mask of allowed tokens, and the tokens that are forced."""

    def __init__(
        self,
        matcher: llguidance.LLMatcher,
        tokenizer: llguidance.LLTokenizer,
        sharp: bool,
        opens: Sequence[int],
    ) -> None:
        """Args: opens: tokens that open the tag, where it may be left out."""
        self._matcher = matcher
        self._sharp, self._opens = sharp, opens
        self._mask = llguidance.numpy.allocate_token_bitmask(1, tokenizer.vocab_size)
        self._tokenizer = tokenizer
        self._tag = b""

    def mask(self) -> NDArray[np.int32]:
        """int32 [ceil(vocab / 32)]: bit t set where token t may come next."""
        llguidance.numpy.fill_next_token_bitmask(self._matcher, self._mask, 0)
        row: NDArray[np.int32] = self._mask[0]
        return row

    def advance(self, token: int) -> None:
        """Take `token`, which the mask allowed."""
        self._matcher.consume_token(token)
        self._opens = ()
        if self.sharp:
            self._tag += self._tokenizer.decode_bytes([token])

    def forced(self) -> list[int]:
        """Tokens that the grammar leaves no choice about, up to the next choice; they are not yet taken."""
        tokens: list[int] = self._matcher.compute_ff_tokens()
        return tokens

    @property
    def sharp(self) -> bool:
        """The next token belongs to the tag: take the likeliest, whatever temperature speech is drawn at."""
        begun = self._tag[: len(OPEN)]
        undecided = bool(self._opens)
        closed = not OPEN.encode().startswith(begun) or CLOSE.encode() in self._tag
        return self._sharp and not undecided and not closed

    @property
    def fork(self) -> Sequence[int]:
        """Tokens that open the tag, while it is open whether there will be one."""
        return self._opens

    @property
    def done(self) -> bool:
        """Nothing may follow."""
        stopped: bool = self._matcher.is_stopped()
        return stopped


class _Spelling:
    """The engine's tokenizer by the names that llguidance uses: one of its own would take 20 MB more."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.eos_token_id, self.tokens = tokenizer.eos_id, tokenizer.token_bytes
        self.special_token_ids = list(tokenizer.silent)
        self._encode = tokenizer.encode

    def __call__(self, text: str) -> list[int]:
        return self._encode(text)
