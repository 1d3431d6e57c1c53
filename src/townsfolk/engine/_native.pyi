"""The C++ of `native/`: see native/src/module.cpp."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Row = tuple[int, Ints, int, int, int, Ints | None]
"""New tokens, slots, adapter slot or -1, position from which it applies, wanted, allowed."""
Part = tuple[int, npt.NDArray[np.uint8], Ints | None]
"""GGUF type, [rows, bytes of a row], order of the rows."""

class PackedMatrix: ...
class Adapter: ...

class Decoder:
    def __init__(
        self,
        *,
        vocab: int,
        layers: int,
        hidden: int,
        ffn: int,
        heads: int,
        kv_heads: int,
        head_dim: int,
        epsilon: float,
        cosines: Floats,
        sines: Floats,
        threads: int,
        kv_slots: int,
        kv_bits: int,
        kernels: str | None,
    ) -> None: ...
    @property
    def kernels(self) -> str: ...
    def set_layer(
        self,
        index: int,
        attention_norm: Floats,
        ffn_norm: Floats,
        linear: Sequence[PackedMatrix],
        qkv_bias: Floats | None,
        query_norm: Floats | None,
        key_norm: Floats | None,
    ) -> None: ...
    def set_head(self, norm: Floats, head: PackedMatrix, /) -> None: ...
    def adapter(self) -> Adapter: ...
    def add_target(
        self,
        adapter: Adapter,
        layer: int,
        projection: int,
        first: int,
        a: npt.NDArray[np.uint16],
        b: npt.NDArray[np.uint16],
        scaling: float,
        /,
    ) -> None: ...
    def set_adapters(self, adapters: Sequence[Adapter | None], /) -> None: ...
    def embed(self, tokens: Ints, hidden: Floats, /) -> None: ...
    def forward(self, hidden: Floats, rows: Sequence[Row], logits: Floats, /) -> None: ...
    def release(self, first_slot: int, /) -> None: ...

def pack(parts: Sequence[Part], width: int) -> PackedMatrix: ...
def kernels() -> list[str]: ...
