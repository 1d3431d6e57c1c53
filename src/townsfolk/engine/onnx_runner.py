"""The portable runner: ONNX Runtime on the CPU.

It turns a ragged batch into the inputs of the graph that `graph` builds, and keeps the KV banks:
one array that the session reads in place. It refuses to know who is in the batch and why.
"""

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from townsfolk.engine.adapters import Adapter
from townsfolk.engine.banks import Banks
from townsfolk.engine.graph import Weights, build_graph
from townsfolk.engine.hyperparameters import Hyperparameters
from townsfolk.engine.model import PROJECTIONS, Model
from townsfolk.engine.quantize import Floats
from townsfolk.engine.runner import Mask, RaggedBatch, Row
from townsfolk.errors import ModelError

Indexes = npt.NDArray[np.int64]
Inputs = dict[str, npt.NDArray[Any]]

PIECES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Lengths that rows may be cut into for attention."""
GATHER_COST = 2
"""Fetching a row's past once costs about as much as attending to it with this many queries."""


class OnnxRunner:
    """Implements `Runner`."""

    name = "onnx"
    kv_bits = 16

    def __init__(self, model: Model, *, threads: int, kv_slots: int, max_positions: int) -> None:
        """Build the graph and the session.

        Raises:
            ModelError: ONNX Runtime refuses the graph.
        """
        self._params = model.params
        self._embedding = model.embedding.copy()  # the session has the other weights
        self._banks = Banks(model)
        self.vocab, self.kv_slots = model.params.vocab, kv_slots
        shape = (model.params.layers * 2 * model.params.kv_heads, kv_slots, model.params.head_dim)
        # The system gives memory to the slots that are used, and takes it back (`release`).
        self._pages = mmap.mmap(-1, 2 * math.prod(shape), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._kv = np.frombuffer(self._pages, np.float16).reshape(shape)
        self._session = _open_session(*build_graph(model, max_positions), threads)
        self._binding = self._session.io_binding()
        self._bind_kv()
        self._bind_banks()

    def lay_out(self, adapter: Adapter) -> Adapter:
        return adapter  # as it is: the banks hold what is resident in 32 bits, and no other need be

    def set_adapters(self, adapters: Sequence[Adapter | None]) -> None:
        if self._banks.hold(adapters):
            self._bind_banks()

    def release(self, first_slot: int) -> None:
        slot, page = self._kv.strides[1], mmap.PAGESIZE
        for start in range(0, self._kv.nbytes, self._kv.strides[0]):
            first = -(-(start + first_slot * slot) // page) * page
            end = (start + self._kv.strides[0]) // page * page
            if first < end:
                self._pages.madvise(mmap.MADV_DONTNEED, first, end - first)

    def _bind_banks(self) -> None:
        for (projection, layer), down in self._banks.down.items():
            self._bind(f"down.{projection}.{layer}", down)
            self._bind(f"up.{projection}.{layer}", self._banks.up[projection, layer])

    def forward(self, batch: RaggedBatch) -> Floats:
        layout = _lay_out(batch.rows)
        self._bind_batch(batch, layout)
        try:
            self._session.run_with_iobinding(self._binding)
        except RuntimeError as error:  # ONNX Runtime's errors derive from it
            raise ModelError(f"a pass over {batch.size} tokens failed: {error}") from error
        logits, fresh = (value.numpy() for value in self._binding.get_outputs())
        self._kv[:, layout.new_slots] = fresh
        return _forbid(logits, batch.rows, self.vocab)

    def _bind_kv(self) -> None:
        heads = self._params.kv_heads
        for layer in range(self._params.layers):
            first = 2 * layer * heads
            self._bind(f"keys.{layer}", self._kv[first : first + heads])
            self._bind(f"values.{layer}", self._kv[first + heads : first + 2 * heads])

    def _bind_batch(self, batch: RaggedBatch, layout: "_Layout") -> None:
        tokens = np.concatenate([row.tokens for row in batch.rows])
        adapters = np.concatenate([row.adapters for row in batch.rows])
        self._bind("hidden", self._embedding.rows(tokens).floats())
        for projection in PROJECTIONS:
            self._bind(f"lanes.{projection}", self._banks.lanes(projection, adapters))
        for name, values in layout.inputs(self._params).items():
            self._bind(name, values)
        for output in ("logits", "kv"):
            self._binding.bind_output(output)  # anew each pass, or the last pass's shapes would bind too

    def _bind(self, name: str, values: npt.NDArray[Any]) -> None:
        """Give the session `values` in place, without a copy."""
        self._binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(values))


@dataclass(frozen=True)
class _Layout:
    """Where each new token stands: in the flat order, in the pieces, in the KV banks."""

    positions: Indexes  # [N]
    new_slots: Indexes  # [N]
    past_slots: Indexes  # [P, S]
    query_index: Indexes  # [P, T] piece -> flat; padding repeats token 0
    flat_index: Indexes  # [N] flat -> place in [P*T]
    mask: Floats  # [1, P, T, 1, S+N]
    wanted: Indexes  # [M]

    def inputs(self, params: Hyperparameters) -> Inputs:
        """The graph's index and shape inputs."""
        pieces, length = self.query_index.shape
        past, new = self.past_slots.shape[1], len(self.positions)
        heads, group, size = params.kv_heads, params.heads // params.kv_heads, params.head_dim
        shapes: dict[str, list[int]] = {
            "piece_shape": [pieces, length, heads, group, size],
            "query_shape": [heads, pieces, length * group, size],
            "new_shape": [heads, pieces, length * group, new],
            "score_shape": [heads, pieces, length, group, past + new],
            "past_shape": [heads, pieces, length * group, past],
            "flat_shape": [heads, pieces * length * group, new],
            "past_and_new": [past, new],
        }
        indexes: Inputs = {
            "positions": self.positions[:, None],
            "past_slots": self.past_slots,
            "query_index": self.query_index.reshape(-1),
            "flat_index": self.flat_index,
            "mask": self.mask,
            "wanted": self.wanted,
        }
        return indexes | {name: np.array(shape, np.int64) for name, shape in shapes.items()}


def _lay_out(rows: Sequence[Row]) -> _Layout:
    news, pasts = [len(row.tokens) for row in rows], [row.past for row in rows]
    starts = np.cumsum([0, *news])
    length = _piece_length(news)
    cuts = [(index, first) for index, new in enumerate(news) for first in range(0, new, length)]
    past, new = max(1, *pasts), int(starts[-1])
    past_slots = np.zeros((len(cuts), past), np.int64)
    query_index = np.zeros((len(cuts), length), np.int64)
    flat_index = np.empty(new, np.int64)
    mask = np.full((len(cuts), length, past + new), -np.inf, np.float32)
    for piece, (index, first) in enumerate(cuts):
        start, row = starts[index], rows[index]
        here = np.arange(first, min(first + length, news[index]))
        past_slots[piece, : pasts[index]] = row.slots[: pasts[index]]
        query_index[piece, : len(here)] = start + here
        flat_index[start + here] = piece * length + np.arange(len(here))
        mask[piece, :, : pasts[index]] = 0
        causal = here[:, None] >= np.arange(news[index])
        mask[piece, : len(here), past + start : past + starts[index + 1]][causal] = 0
        mask[piece, len(here) :, past] = 0  # padding attends to anything: no row of only -inf
    return _Layout(
        positions=np.concatenate([np.arange(p, p + n) for p, n in zip(pasts, news, strict=True)]),
        new_slots=np.concatenate([row.slots[row.past :] for row in rows]).astype(np.int64),
        past_slots=past_slots,
        query_index=query_index,
        flat_index=flat_index,
        mask=mask[None, :, :, None],
        wanted=np.concatenate([np.arange(e - r.wanted, e) for e, r in zip(starts[1:], rows, strict=True)]),
    )


def _piece_length(news: Sequence[int]) -> int:
    """The length of pieces for which attention does least work."""
    counts = np.array(news)
    return min(PIECES, key=lambda length: int((-(-counts // length)).sum()) * (length + GATHER_COST))


def _forbid(logits: Floats, rows: Sequence[Row], vocab: int) -> Floats:
    """Set the logits of tokens that a row does not allow to -inf, in place."""
    first = 0
    for row in rows:
        if row.allowed is not None:
            logits[first : first + row.wanted, ~unpack_mask(row.allowed, vocab)] = -np.inf
        first += row.wanted
    return logits


def unpack_mask(mask: Mask, vocab: int) -> npt.NDArray[np.bool_]:
    """[ceil(vocab/32)] int32 -> [vocab] bool."""
    bits = np.unpackbits(mask.astype("<i4").view(np.uint8), bitorder="little")
    return bits[:vocab].astype(np.bool_)


def _open_session(graph: bytes, weights: Weights, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # plans memory per input shape; ours never repeat
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # an idle server uses no CPU
    values = [ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(w)) for w in weights.values()]
    options.add_external_initializers(list(weights), values)
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except RuntimeError as error:
        raise ModelError(f"ONNX Runtime refuses the decoder graph: {error}") from error
