"""The fast runner: hands passes to the C++ decoder in `native/`, where that was built.

It refuses to know how a layer is computed: it lays weights, adapters and rows out for `_native`.
"""

from collections.abc import Sequence
from typing import TypedDict, Unpack

import numpy as np
from gguf import GGMLQuantizationType as Type

from townsfolk.engine.adapters import Adapter
from townsfolk.engine.model import PROJECTIONS, Model, rope_tables
from townsfolk.engine.quantize import Floats, Weight
from townsfolk.engine.runner import Ints, RaggedBatch, Row
from townsfolk.errors import ModelError

try:
    import townsfolk.engine._native as _native
except ImportError as error:
    UNAVAILABLE = f"{error}: install again with GCC 11 or Clang 14 and Python's headers at hand"
else:
    UNAVAILABLE = ""
"""Why this runner can't be used here; empty where it can."""

LOSSLESS = (Type.Q8_0, Type.Q4_0, Type.Q4_1)
"""Types whose numbers the decoder's tiles hold as they are."""


class NativeRunner:
    """Implements `Runner`. A row's logits are the same, bit for bit, in any batch and after any chunking."""

    name = "native"

    def __init__(
        self,
        model: Model,
        *,
        threads: int,
        kv_slots: int,
        max_positions: int,
        kv_bits: int = 16,
        kernels: str | None = None,
    ) -> None:
        """Lay the weights out for this processor.

        Args:
            kv_bits: of each number in the KV cache: 16, or 8 for 0.56 of the memory.
            kernels: instruction set to use ("portable", say); None: the best that the processor has.

        Raises:
            ModelError: not built here, too little memory, or sizes that the kernels can't handle.
        """
        if UNAVAILABLE:
            raise ModelError(f"no native runner ({UNAVAILABLE}), or set engine.runner to 'onnx'")
        self._params = model.params
        in_tiles = model.tied and model.embedding.kind in LOSSLESS
        self._embedding = None if in_tiles else model.embedding.copy()  # None: the decoder has it
        self.vocab, self.kv_slots = model.params.vocab, kv_slots
        try:
            self._decoder = _decoder(
                model, max_positions, threads=threads, kv_slots=kv_slots, kv_bits=kv_bits, kernels=kernels
            )
        except ValueError as error:
            raise ModelError(f"native runner: {error}; set engine.runner to 'onnx'") from error
        except MemoryError as error:
            raise ModelError(
                f"native runner: no memory for the weights and a KV cache of {kv_slots:,} tokens; "
                f"lower engine.kv_tokens, or give it more memory"
            ) from error
        self.kernels: str = self._decoder.kernels

    def lay_out(self, adapter: Adapter) -> "_native.Adapter":
        native = self._decoder.adapter()
        for (layer, target), (a, b) in adapter.factors.items():
            projection, first, _ = self._params.targets()[target]
            a_bits, b_bits = (np.ascontiguousarray(half).view(np.uint16) for half in (a, b))
            self._decoder.add_target(
                native, layer, PROJECTIONS.index(projection), first, a_bits, b_bits, adapter.scaling
            )
        return native

    def set_adapters(self, adapters: Sequence["_native.Adapter | None"]) -> None:
        self._decoder.set_adapters(adapters)

    def release(self, first_slot: int) -> None:
        self._decoder.release(first_slot)

    def forward(self, batch: RaggedBatch) -> Floats:
        tokens = np.concatenate([row.tokens for row in batch.rows])
        logits = np.empty((sum(row.wanted for row in batch.rows), self.vocab), np.float32)
        try:
            hidden = self._embed(tokens)
            self._decoder.forward(hidden, [_row(row) for row in batch.rows], logits)
        except (ValueError, MemoryError) as error:
            raise ModelError(f"a pass over {batch.size} tokens failed: {error}") from error
        return logits

    def _embed(self, tokens: Ints) -> Floats:
        """[tokens, hidden]"""
        if self._embedding:
            return self._embedding.rows(tokens).floats()
        hidden = np.empty((len(tokens), self._params.hidden), np.float32)
        self._decoder.embed(tokens, hidden)
        return hidden


def usable_kernels() -> list[str]:
    """Instruction sets that the kernels are built for and this processor has, the fastest first."""
    return [] if UNAVAILABLE else _native.kernels()


def _row(row: Row) -> "_native.Row":
    return len(row.tokens), row.slots, row.adapter, row.adapter_from, row.wanted, row.allowed


class _Options(TypedDict):
    threads: int
    kv_slots: int
    kv_bits: int
    kernels: str | None


def _decoder(model: Model, max_positions: int, **options: Unpack[_Options]) -> "_native.Decoder":
    decoder = _empty_decoder(model, max_positions, **options)
    for index, layer in enumerate(model.layers):
        linear = [_pack(layer.linear[projection]) for projection in PROJECTIONS]
        own = (layer.qkv_bias, layer.query_norm, layer.key_norm)
        decoder.set_layer(index, layer.attn_norm, layer.ffn_norm, linear, *own)
    decoder.set_head(model.final_norm, _pack(model.lm_head))
    return decoder


def _empty_decoder(model: Model, max_positions: int, **options: Unpack[_Options]) -> "_native.Decoder":
    params = model.params
    cosines, sines = rope_tables(params, model.rope_factors, max_positions)
    return _native.Decoder(
        vocab=params.vocab,
        layers=params.layers,
        hidden=params.hidden,
        ffn=params.ffn,
        heads=params.heads,
        kv_heads=params.kv_heads,
        head_dim=params.head_dim,
        epsilon=params.norm_eps,
        cosines=cosines,
        sines=sines,
        **options,
    )


def _pack(weight: Weight) -> "_native.PackedMatrix":
    """Straight from the mapped file."""
    parts = [(int(part.tensor.kind), part.tensor.data, part.order) for part in weight.parts]
    return _native.pack(parts, weight.shape[1])
