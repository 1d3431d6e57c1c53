"""The weights of linear layers as GGUF files have them, and what ONNX Runtime wants instead.

Types of 4 bits stay at 4 bits, without loss; every other type becomes float32. It refuses to know what a
layer is for: it sees matrices only. The native runner reads the same blocks in `native/src/gguf_blocks.cpp`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from townsfolk.engine.gguf_file import RawTensor
from townsfolk.errors import ModelError

BLOCK = 32
SUPER_BLOCK = 256
FOUR_BITS = (Type.Q4_0, Type.Q4_1, Type.Q4_K)
READABLE = (Type.F32, Type.F16, Type.BF16, Type.Q8_0, *FOUR_BITS, Type.Q5_0, Type.Q5_1, Type.Q5_K, Type.Q6_K)

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Part:
    """A tensor of the file, and which of its rows comes first, and so on; None: as they are."""

    tensor: RawTensor
    order: Ints | None = None

    def ordered(self) -> RawTensor:
        """The tensor with its rows in order."""
        return self.tensor if self.order is None else self.tensor.rows(self.order)


@dataclass(frozen=True)
class Weight:
    """Of a linear layer: W [out, in], its parts stacked along `out`. The values are still in the file."""

    parts: tuple[Part, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in)."""
        return sum(part.tensor.shape[0] for part in self.parts), self.parts[0].tensor.shape[1]

    @property
    def four_bits(self) -> bool:
        """Whether 4 bits hold all of it."""
        return all(part.tensor.kind in FOUR_BITS for part in self.parts)


@dataclass(frozen=True)
class Int4Weight:
    """A weight W [out, in] in blocks of 32 along `in`: W = scales * (q - 8) + offsets."""

    packed: Bytes  # [out, in/32, 16]: q, the even element in the low half of a byte
    scales: Floats  # [out, in/32]
    offsets: Floats | None  # [out, in/32]; None: all zero


def unpack(weight: Weight) -> Int4Weight | Floats:
    """4 bits, or [out, in] float32."""
    tensors = [part.ordered() for part in weight.parts]
    if not weight.four_bits:
        return _numbers(np.concatenate([tensor.floats() for tensor in tensors]))
    return Int4Weight(
        packed=np.concatenate([_pairs(_quants(tensor)) for tensor in tensors]),
        scales=_numbers(np.concatenate([_scales(tensor)[0] for tensor in tensors])),
        offsets=block_offsets(weight),
    )


def block_offsets(weight: Weight) -> Floats | None:
    """The offsets of an `Int4Weight`, [out, in/32]; None where there are none."""
    if not weight.four_bits or all(part.tensor.kind == Type.Q4_0 for part in weight.parts):
        return None
    pairs = [_scales(part.ordered()) for part in weight.parts]
    return _numbers(np.concatenate([minima + 8 * scales for scales, minima in pairs]))


def _numbers(values: Floats) -> Floats:
    if not np.isfinite(values).all():
        raise ModelError("a weight is no number; fetch the model again")
    return values


def _scales(tensor: RawTensor) -> tuple[Floats, Floats]:
    """(scales d, minima m) of blocks of 32, [out, in/32] each: w = d * q + m, 0 <= q < 16."""
    if tensor.kind == Type.Q4_K:
        return _super_scales(tensor)
    blocks = _blocks(tensor, BLOCK)
    scales = _half(blocks[..., 0:2])
    return scales, (_half(blocks[..., 2:4]) if tensor.kind == Type.Q4_1 else -8 * scales)


def _super_scales(tensor: RawTensor) -> tuple[Floats, Floats]:
    """Q4_K keeps 8 scales and 8 minima in 6 bits each, after a 16-bit scale for either."""
    blocks = _blocks(tensor, SUPER_BLOCK)
    first, second, third = blocks[..., 4:8], blocks[..., 8:12], blocks[..., 12:16]
    scales = np.concatenate([first & 63, (third & 15) | (first >> 6 << 4)], axis=-1)
    minima = np.concatenate([second & 63, (third >> 4) | (second >> 6 << 4)], axis=-1)
    rows = len(blocks)
    return (
        (_half(blocks[..., 0:2])[..., None] * scales).reshape(rows, -1),
        (-_half(blocks[..., 2:4])[..., None] * minima).reshape(rows, -1),
    )


def _quants(tensor: RawTensor) -> Bytes:
    """q of each block, [out, in/32, 32]. Bytes hold one block's first and second half, in Q4_K two blocks."""
    if tensor.kind == Type.Q4_K:
        pairs = _blocks(tensor, SUPER_BLOCK)[..., 16:].reshape(len(tensor.data), -1, 1, BLOCK)
    else:
        heads = {Type.Q4_0: 2, Type.Q4_1: 4}
        pairs = _blocks(tensor, BLOCK)[..., None, heads[tensor.kind] :]
    halves = np.concatenate([pairs & 15, pairs >> 4], axis=-2, dtype=np.uint8)
    return halves.reshape(len(tensor.data), -1, BLOCK)


def _pairs(quants: Bytes) -> Bytes:
    """MatMulNBits wants elements 2i and 2i+1 in a byte. [..., 32] -> [..., 16]."""
    packed: Bytes = np.bitwise_or(quants[..., 0::2], quants[..., 1::2] << 4, dtype=np.uint8)
    return packed


def _blocks(tensor: RawTensor, size: int) -> Bytes:
    """[out, in/size, bytes of a block]."""
    out, width = tensor.shape
    return tensor.data.reshape(out, width // size, -1)


def _half(raw: Bytes) -> Floats:
    """Two bytes -> float32, [..., 2] -> [...]."""
    return np.ascontiguousarray(raw).view("<f2")[..., 0].astype(np.float32)
