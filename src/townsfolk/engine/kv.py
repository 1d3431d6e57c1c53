"""Bookkeeping of the KV cache: which slot holds which token of which sequence.

A sequence keeps its slots after its request is done, so that the next turn prefills only what is new; the
least recently used idle sequence makes way. Sequences share the slots of a common prefix as far as the same
weights computed it: what the base model computed serves whatever adapter applies later. It refuses to know
what is in a slot: the runner has the keys and values.
"""

import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Slots = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Origin:
    """Which weights compute a sequence: the base model's, from position `start` on with an adapter."""

    adapter: str | None = None  # content hash
    start: int = sys.maxsize

    def common(self, other: "Origin") -> int:
        """Up to which position both compute the same of the same tokens."""
        return sys.maxsize if self == other else min(self.start, other.start)


BASE_ALONE = Origin()


class CachedSequence:
    """Tokens of one sequence whose keys and values are in `slots`."""

    def __init__(self, origin: Origin, room: int) -> None:
        self.origin = origin
        self.tokens: list[int] = []
        self.slots: Slots = np.empty(room, np.int32)  # the first len(tokens) are in use
        self.room = room  # tokens that it may grow to while in use
        self.in_use = True
        self.unwanted = False  # to be dropped when no longer in use


class KvCache:
    """`capacity` slots of one token each, for all sequences."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.evictions = 0
        self._free = list(reversed(range(capacity)))
        self._holders = np.zeros(capacity, np.int32)  # sequences that hold each slot
        self._sequences: OrderedDict[str, CachedSequence] = OrderedDict()  # least recently used first

    @property
    def used_fraction(self) -> float:
        """Share of the slots that hold a token, 0 to 1."""
        return 1 - len(self._free) / self.capacity

    def admit(
        self, sequence_id: str, origin: Origin, prompt: Sequence[int], room: int
    ) -> CachedSequence | None:
        """Take a sequence into use, with room for `room` tokens, and keep what is cached of `prompt`.

        At least the last token of the prompt is left to run, since its logits are wanted.

        Returns:
            None when the sequences in use leave too little room: try again when one is done.
        """
        prefix = self._longest_prefix(origin, prompt)
        if self._reserved(prefix[1]) + room - len(prefix[1]) > self.capacity:
            return None
        sequence = CachedSequence(origin, room)
        self._share(sequence, prefix)
        self.drop(sequence_id)
        self._sequences[sequence_id] = sequence
        return sequence

    def extend(self, sequence: CachedSequence, tokens: Sequence[int]) -> Slots:
        """Give `tokens` slots after those that the sequence has; [all its tokens], the new ones last."""
        while len(self._free) < len(tokens):
            self._evict()
        old = len(sequence.tokens)
        new = [self._free.pop() for _ in tokens]
        sequence.slots[old : old + len(new)] = new
        sequence.tokens.extend(tokens)
        self._holders[new] += 1
        return sequence.slots[: old + len(new)]

    def truncate(self, sequence: CachedSequence, length: int) -> None:
        """Forget the tokens after the first `length`."""
        gone = sequence.slots[length : len(sequence.tokens)]
        self._holders[gone] -= 1
        self._free.extend(gone[self._holders[gone] == 0].tolist())
        del sequence.tokens[length:]

    def release(self, sequence_id: str) -> None:
        """The sequence is idle now: kept until its slots are needed."""
        sequence = self._sequences[sequence_id]
        sequence.in_use = False
        self._sequences.move_to_end(sequence_id)
        if sequence.unwanted:
            self.drop(sequence_id)

    def forget(self, sequence_id: str) -> None:
        """Drop the sequence, if it is there, as soon as it is idle."""
        if self.in_use(sequence_id):
            self._sequences[sequence_id].unwanted = True
        else:
            self.drop(sequence_id)

    def drop(self, sequence_id: str) -> None:
        """Forget the sequence, if it is there."""
        sequence = self._sequences.pop(sequence_id, None)
        if sequence:
            self.truncate(sequence, 0)

    def in_use(self, sequence_id: str) -> bool:
        """Whether a request is running on this sequence."""
        return sequence_id in self._sequences and self._sequences[sequence_id].in_use

    def _reserved(self, shared: Slots) -> int:
        """Slots that sequences in use hold, or that are in `shared`, and those that they may grow into."""
        held = np.zeros(self.capacity, np.bool_)
        held[shared] = True
        growth = 0
        for sequence in self._sequences.values():
            if sequence.in_use:
                held[sequence.slots[: len(sequence.tokens)]] = True
                growth += sequence.room - len(sequence.tokens)
        return int(held.sum()) + growth

    def _longest_prefix(self, origin: Origin, prompt: Sequence[int]) -> tuple[list[int], Slots]:
        """The longest prefix of `prompt`, less its last token, that any sequence has: (tokens, slots)."""
        best, length = None, 0
        for sequence in self._sequences.values():
            common = min(common_prefix(sequence.tokens, prompt[:-1]), origin.common(sequence.origin))
            if common > length:
                best, length = sequence, common
        return (best.tokens[:length], best.slots[:length]) if best else ([], np.empty(0, np.int32))

    def _share(self, sequence: CachedSequence, prefix: tuple[list[int], Slots]) -> None:
        tokens, slots = prefix
        sequence.tokens = list(tokens)
        sequence.slots[: len(slots)] = slots
        self._holders[slots] += 1

    def _evict(self) -> None:
        """Drop the idle sequence that was used longest ago; `admit` sees to it that there is one."""
        idle = next(name for name, sequence in self._sequences.items() if not sequence.in_use)
        self.drop(idle)
        self.evictions += 1


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many of the first tokens of `a` and `b` are the same."""
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return length
    return next(n for n in range(length) if a[n] != b[n])
