"""GGUF tensors -> the weights of linear layers, without loss.

Q4_0 and Q4_1 stay at 4 bits, repacked for ONNX Runtime; every other type becomes float32.
It refuses to know what a layer is for: it sees matrices only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from townsfolk.engine.gguf_file import RawTensor

BLOCK = 32
READABLE = (Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q4_K, Type.Q5_K, Type.Q6_K)

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Int4Weight:
    """A weight W [out, in] in blocks of 32 along `in`: W = scales * (q - 8) + offsets."""

    packed: Bytes  # [out, in/32, 16]: q, the even element in the low half of a byte
    scales: Floats  # [out, in/32]
    offsets: Floats | None  # [out, in/32]; None: all zero


Weight = Int4Weight | Floats
"""Of a linear layer: 4 bits, or [out, in] float32."""


def linear_weight(parts: Sequence[RawTensor]) -> Weight:
    """Stack `parts`, each [out_i, in], along `out` into one weight."""
    kinds = {part.kind for part in parts}
    if kinds == {Type.Q4_1}:
        return _stack([_from_q4_1(part) for part in parts])
    if kinds == {Type.Q4_0}:
        return _stack([_from_q4_0(part) for part in parts])
    return np.concatenate([part.floats() for part in parts])


def _stack(weights: list[Int4Weight]) -> Int4Weight:
    offsets = [weight.offsets for weight in weights if weight.offsets is not None]
    return Int4Weight(
        packed=np.concatenate([weight.packed for weight in weights]),
        scales=np.concatenate([weight.scales for weight in weights]),
        offsets=np.concatenate(offsets) if offsets else None,
    )


def _from_q4_1(tensor: RawTensor) -> Int4Weight:
    """A block is scale d, lowest value m, 32 q: w = d*q + m, so the offset is m + 8*d."""
    blocks = _blocks(tensor)
    scales, lowest = _half(blocks[..., 0:2]), _half(blocks[..., 2:4])
    return Int4Weight(_interleave(blocks[..., 4:]), scales, lowest + 8 * scales)


def _from_q4_0(tensor: RawTensor) -> Int4Weight:
    """A block is scale d, 32 q: w = d*(q - 8)."""
    blocks = _blocks(tensor)
    return Int4Weight(_interleave(blocks[..., 2:]), _half(blocks[..., 0:2]), None)


def _blocks(tensor: RawTensor) -> Bytes:
    """[out, in/32, bytes of a block]."""
    out, width = tensor.shape
    return tensor.data.reshape(out, width // BLOCK, -1)


def _half(raw: Bytes) -> Floats:
    """Two bytes -> float32, [..., 2] -> [...]."""
    return np.ascontiguousarray(raw).view("<f2")[..., 0].astype(np.float32)


def _interleave(nibbles: Bytes) -> Bytes:
    """GGML has elements i and i+16 in byte i; MatMulNBits wants 2i and 2i+1. [..., 16] -> [..., 16]."""
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1)  # [..., 32]
    packed: Bytes = values[..., 0::2] | (values[..., 1::2] << 4)
    return packed
