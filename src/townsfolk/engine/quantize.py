"""GGUF tensors -> the block-quantised linear layers that the runners multiply with.

Q4_0, Q4_1 and Q8_0 are repacked without loss; every other type is dequantised and rounded to 8 bits.
It refuses to know what a layer is for: it sees matrices only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from townsfolk.errors import ModelError

BLOCK = 32
READABLE = (Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q4_K, Type.Q5_K, Type.Q6_K)

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class RawTensor:
    """A tensor as the file holds it: `data` [rows, bytes of a row] of the GGML type `kind`."""

    name: str
    kind: Type
    data: npt.NDArray[np.generic]
    shape: tuple[int, ...]  # (out, in) or (size,)

    def rows(self, index: npt.NDArray[np.integer]) -> "RawTensor":
        """The same tensor with the rows `index`, in that order."""
        return RawTensor(self.name, self.kind, self.data[index], (len(index), *self.shape[1:]))

    def floats(self) -> Floats:
        """All values, dequantised, [*shape] float32."""
        return np.asarray(gguf.dequantize(self.data, self.kind), np.float32).reshape(self.shape)


@dataclass(frozen=True)
class QuantizedLinear:
    """A weight W [out, in] in blocks of 32 along `in`: W = scales * (q - 2**(bits-1)) + offsets."""

    bits: int
    packed: Bytes  # [out, in/32, 4*bits]: q, for 4 bits the even element in the low half of a byte
    scales: Floats  # [out, in/32]
    offsets: Floats | None  # [out, in/32]; None: all zero

    @property
    def out_features(self) -> int:
        return self.packed.shape[0]

    @property
    def in_features(self) -> int:
        return self.packed.shape[1] * BLOCK


def quantize_linear(parts: Sequence[RawTensor]) -> QuantizedLinear:
    """Stack `parts`, each [out_i, in], along `out` into one layer.

    Raises:
        ModelError: `in` is not a multiple of 32.
    """
    width = parts[0].shape[1]
    if width % BLOCK:
        raise ModelError(f"tensor {parts[0].name}: rows of {width} values; must be a multiple of {BLOCK}")
    kinds = {part.kind for part in parts}
    lossless = {Type.Q4_1: _from_q4_1, Type.Q4_0: _from_q4_0, Type.Q8_0: _from_q8_0}
    repack = lossless.get(next(iter(kinds)), _round_to_8_bits) if len(kinds) == 1 else _round_to_8_bits
    return _stack([repack(part) for part in parts])


def _stack(layers: list[QuantizedLinear]) -> QuantizedLinear:
    offsets = [layer.offsets for layer in layers if layer.offsets is not None]
    return QuantizedLinear(
        bits=layers[0].bits,
        packed=np.concatenate([layer.packed for layer in layers]),
        scales=np.concatenate([layer.scales for layer in layers]),
        offsets=np.concatenate(offsets) if offsets else None,
    )


def _blocks(tensor: RawTensor) -> Bytes:
    """[out, in/32, bytes of a block]."""
    out, width = tensor.shape
    return tensor.data.view(np.uint8).reshape(out, width // BLOCK, -1)


def _half(raw: Bytes) -> Floats:
    """Two bytes -> float32, [..., 2] -> [...]."""
    return np.ascontiguousarray(raw).view(np.float16)[..., 0].astype(np.float32)


def _from_q4_1(tensor: RawTensor) -> QuantizedLinear:
    """w = d*q + m, so offsets are m + 8*d."""
    blocks = _blocks(tensor)
    scales, lowest = _half(blocks[..., 0:2]), _half(blocks[..., 2:4])
    return QuantizedLinear(4, _interleave(blocks[..., 4:]), scales, lowest + 8 * scales)


def _from_q4_0(tensor: RawTensor) -> QuantizedLinear:
    blocks = _blocks(tensor)
    return QuantizedLinear(4, _interleave(blocks[..., 2:]), _half(blocks[..., 0:2]), None)


def _interleave(nibbles: Bytes) -> Bytes:
    """GGML puts elements i and i+16 in byte i; MatMulNBits wants 2i and 2i+1. [..., 16] -> [..., 16]."""
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1)  # [..., 32]
    packed: Bytes = values[..., 0::2] | (values[..., 1::2] << 4)
    return packed


def _from_q8_0(tensor: RawTensor) -> QuantizedLinear:
    blocks = _blocks(tensor)
    return QuantizedLinear(8, blocks[..., 2:] ^ 128, _half(blocks[..., 0:2]), None)


def _round_to_8_bits(tensor: RawTensor) -> QuantizedLinear:
    values = tensor.floats().reshape(tensor.shape[0], -1, BLOCK)
    scales = np.abs(values).max(axis=-1) / 127
    steps = values / np.where(scales == 0, 1, scales)[..., None]
    packed = (np.rint(steps).astype(np.int16) + 128).astype(np.uint8)
    return QuantizedLinear(8, packed, scales.astype(np.float32), None)
