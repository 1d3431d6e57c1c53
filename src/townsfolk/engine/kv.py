"""Bookkeeping of the KV cache: which slot holds which token of which sequence.

A sequence keeps its slots after its request is done, so that the next turn prefills only what is new; the
least recently used idle sequence makes way. Sequences share the slots of a common prefix as far as the same
weights computed it: what the base model computed serves whatever adapter applies later. It refuses to know
what is in a slot: the runner has the keys and values.
"""

import sys
from collections import OrderedDict
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Slots = Ints
NO_SLOTS: Slots = np.empty(0, np.int32)


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
        self.slots: Slots = np.empty(room, np.int32)  # the first `length` are in use
        self.ids: Ints = np.empty(room, np.int32)  # as many tokens
        self.length = 0
        self.room = room  # tokens that it may grow to while in use
        self.in_use = True
        self.unwanted = False  # to be dropped when no longer in use

    @property
    def tokens(self) -> Ints:
        return self.ids[: self.length]

    def append(self, tokens: Sequence[int] | Ints, slots: Sequence[int] | Slots) -> None:
        old, self.length = self.length, self.length + len(tokens)
        self.ids[old : self.length] = tokens
        self.slots[old : self.length] = slots


class KvCache:
    """`capacity` slots of one token each, for all sequences."""

    def __init__(self, capacity: int) -> None:
        self.capacity = self._most = capacity
        self.evictions = 0
        self._free: list[int] = []  # of those that were used
        self._fresh = 0  # the first that was never used, or not since `shed`: the runner has no memory for it
        self._holders = np.zeros(capacity, np.int32)  # sequences that hold each slot
        self._sequences: OrderedDict[Hashable, CachedSequence] = OrderedDict()  # least recently used first

    @property
    def used_fraction(self) -> float:
        """Share of the slots that hold a token, 0 to 1."""
        return (self._fresh - len(self._free)) / self.capacity

    def admit(
        self, sequence_id: Hashable, origin: Origin, prompt: Sequence[int], room: int
    ) -> CachedSequence | None:
        """Take a sequence into use, with room for `room` tokens, and keep what is cached of `prompt`.

        At least the last token of the prompt is left to run, since its logits are wanted.

        Returns:
            None when the sequences in use leave too little room: try again when one is done.

        Raises:
            ValueError: the sequence is in use.
        """
        if self.in_use(sequence_id):
            raise ValueError(f"sequence {sequence_id!r} is in use: release it before it is admitted again")
        tokens, slots = self._longest_prefix(origin, prompt)
        if not self._room_beside(slots, room):
            return None
        sequence = CachedSequence(origin, room)
        sequence.append(tokens, slots)
        self._holders[slots] += 1
        self.drop(sequence_id)
        self._sequences[sequence_id] = sequence
        return sequence

    def fits(
        self, origin: Origin, prompt: Sequence[int], room: int, without: Collection[Hashable] = ()
    ) -> bool:
        """Whether `admit` would find room if the sequences `without` were idle."""
        return self._room_beside(self._longest_prefix(origin, prompt)[1], room, without)

    def catch_up(self, sequence: CachedSequence, prompt: Sequence[int]) -> int:
        """Take over what another sequence has of `prompt` by now, if that is more; how many tokens more."""
        tokens, slots = self._longest_prefix(sequence.origin, prompt)
        gained = len(tokens) - sequence.length
        if gained > 0:
            self._holders[slots] += 1  # first, since some may be its own
            self.truncate(sequence, 0)
            sequence.append(tokens, slots)
        return max(0, gained)

    def extend(self, sequence: CachedSequence, tokens: Sequence[int]) -> Slots:
        """Give `tokens` slots after those that the sequence has; [all its tokens], the new ones last."""
        while len(self._free) + self.capacity - self._fresh < len(tokens):
            self._evict()
        reused = [self._free.pop() for _ in range(min(len(self._free), len(tokens)))]
        fresh = range(self._fresh, self._fresh + len(tokens) - len(reused))
        self._fresh = fresh.stop
        new = [*reused, *fresh]
        sequence.append(tokens, new)
        self._holders[new] += 1
        return sequence.slots[: sequence.length]

    def truncate(self, sequence: CachedSequence, length: int) -> None:
        """Forget the tokens after the first `length`."""
        gone = sequence.slots[length : sequence.length]
        self._holders[gone] -= 1
        self._free.extend(gone[self._holders[gone] == 0].tolist())
        sequence.length = length

    def release(self, sequence_id: Hashable) -> None:
        """The sequence is idle now: kept until its slots are needed."""
        sequence = self._sequences[sequence_id]
        sequence.in_use = False
        self._sequences.move_to_end(sequence_id)
        if sequence.unwanted:
            self.drop(sequence_id)

    def forget(self, sequence_id: Hashable) -> None:
        """Drop the sequence, if it is there, as soon as it is idle."""
        if self.in_use(sequence_id):
            self._sequences[sequence_id].unwanted = True
        else:
            self.drop(sequence_id)

    def drop(self, sequence_id: Hashable) -> None:
        """Forget the sequence, if it is there."""
        sequence = self._sequences.pop(sequence_id, None)
        if sequence:
            self.truncate(sequence, 0)

    def shed(self, least: int) -> int:
        """Forget idle sequences; until `grow`, use `least` slots in all, or as many as those in use need.

        Returns:
            The first of the slots that hold nothing, nor do those after it: the runner need not keep them.
        """
        for name in [name for name, sequence in self._sequences.items() if not sequence.in_use]:
            self.drop(name)
        held = np.flatnonzero(self._holders)
        self._fresh = int(held[-1]) + 1 if len(held) else 0
        self._free = [slot for slot in self._free if slot < self._fresh]
        self.capacity = min(self._most, max(self._fresh, self._needed(), least))
        return self._fresh

    def grow(self) -> None:
        """All slots may be used again."""
        self.capacity = self._most

    def in_use(self, sequence_id: Hashable) -> bool:
        """Whether a request is running on this sequence."""
        return sequence_id in self._sequences and self._sequences[sequence_id].in_use

    def _room_beside(self, shared: Slots, room: int, without: Collection[Hashable] = ()) -> bool:
        """Whether a sequence of `room` tokens, the first in slots `shared`, fits beside those in use."""
        return self._needed(shared, room, without) <= self.capacity

    def _needed(self, shared: Slots = NO_SLOTS, room: int = 0, without: Collection[Hashable] = ()) -> int:
        """Slots that such a sequence and those in use need, when all have grown."""
        held = np.zeros(self._most, np.bool_)
        held[shared] = True
        growth = room - len(shared)
        for name, sequence in self._sequences.items():
            if sequence.in_use and name not in without:
                held[sequence.slots[: sequence.length]] = True
                growth += sequence.room - sequence.length
        return int(held.sum()) + growth

    def _longest_prefix(self, origin: Origin, prompt: Sequence[int]) -> tuple[Ints, Slots]:
        """The longest prefix of `prompt`, less its last token, that any sequence has: (tokens, slots)."""
        sought = np.array(prompt[:-1], np.int32)
        slots, length = sought[:0], 0
        for sequence in self._sequences.values():
            most = min(sequence.length, len(sought), origin.common(sequence.origin))
            if most > length and sequence.ids[length] == sought[length]:
                common = common_prefix(sequence.ids[:most], sought[:most])
                if common > length:
                    slots, length = sequence.slots[:common], common
        return sought[:length], slots

    def _evict(self) -> None:
        """Drop the idle sequence that was used longest ago; `admit` sees to it that there is one."""
        idle = next(name for name, sequence in self._sequences.items() if not sequence.in_use)
        self.drop(idle)
        self.evictions += 1


def common_prefix(a: Ints, b: Ints) -> int:
    """How many of the first tokens of `a` and `b` are the same."""
    length = min(len(a), len(b))
    different = np.flatnonzero(a[:length] != b[:length])
    return int(different[0]) if len(different) else length
