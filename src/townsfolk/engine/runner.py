"""The contract between the engine and whatever multiplies the matrices.

A pass takes a ragged batch: any number of sequences, each with any number of new tokens, at its own
position, with its own adapter and its own set of allowed tokens; decode and chunked prefill mix.
A runner owns the weights and the KV storage; which slot holds which token is the engine's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from townsfolk.engine.adapters import Adapter

Ints = npt.NDArray[np.int32]
Mask = npt.NDArray[np.int32]
"""A set of tokens, one bit each: [ceil(vocab/32)], token t is bit t%32 of word t//32."""

LaidOut = Any
"""An adapter in the form that a runner wants it: what it is, that runner alone knows."""

BASE = -1
"""Adapter slot of a row that uses the base model alone."""


@dataclass(frozen=True)
class Row:
    """One sequence's share of a pass."""

    tokens: Ints  # [new] ids to run
    slots: Ints  # [past + new] KV slots of all its tokens so far, those of the new ones last
    adapter: int = BASE  # slot in the list that `set_adapters` was given
    adapter_from: int = 0  # position from which the adapter applies; before it the base model alone does
    wanted: int = 1  # logits are wanted after this many of the last tokens; 0 while a prompt goes on
    allowed: Mask | None = None  # tokens that may come next; None: all

    @property
    def past(self) -> int:
        """Tokens whose keys and values are in their slots already: the position of the first new one."""
        return len(self.slots) - len(self.tokens)

    @property
    def adapters(self) -> Ints:
        """Adapter slot of each new token, [new]."""
        positions = np.arange(self.past, len(self.slots))
        return np.where(positions < self.adapter_from, BASE, self.adapter).astype(np.int32)


@dataclass(frozen=True)
class RaggedBatch:
    """What one pass computes. No slot may be written by two rows; several may read one (shared prefix)."""

    rows: Sequence[Row]

    @property
    def size(self) -> int:
        """New tokens in all."""
        return sum(len(row.tokens) for row in self.rows)


class Runner(Protocol):
    """Runs passes over one base model. One thread at a time calls it, but for `lay_out`."""

    name: str
    vocab: int
    kv_slots: int

    def forward(self, batch: RaggedBatch) -> npt.NDArray[np.float32]:
        """Run one pass: write the new tokens' keys and values, return the wanted logits.

        Returns:
            [sum of wanted, vocab] float32 in the order of the rows; -inf where `allowed` forbids.

        Raises:
            ModelError: the pass failed (out of memory, say); the KV of its new tokens is void.
        """
        ...

    def lay_out(self, adapter: Adapter) -> LaidOut:
        """Do what takes time, on any thread, while passes run; the adapter itself isn't needed any more."""
        ...

    def set_adapters(self, adapters: Sequence[LaidOut | None]) -> None:
        """Make these adapters, and no others, resident: slot i holds `adapters[i]`. Quick: between passes."""
        ...

    def release(self, first_slot: int) -> None:
        """The KV slots from this one on hold nothing any more: give their memory back to the system."""
        ...
