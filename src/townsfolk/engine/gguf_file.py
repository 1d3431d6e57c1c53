"""The GGUF container: metadata and raw tensors, memory-mapped. Knows nothing of what they mean.

The `gguf` package's own reader makes several arrays per vocabulary entry (seconds and 200 MB for 49,152
tokens) and trusts every count in the file, so the header is read here; block formats are the package's.
Nothing in the file makes it take more memory than a few times the header, which is bounded.
"""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFValueType

from townsfolk.errors import ModelError

MAGIC, VERSIONS, DEFAULT_ALIGNMENT = b"GGUF", (2, 3), 32
MAX_DIMENSIONS = 4
MAX_HEADER_BYTES = 64 * 2**20  # a vocabulary of 256,000 tokens takes 10 MB
MAX_ALIGNMENT = 2**20
SCALARS = {
    GGUFValueType.UINT8: "B",
    GGUFValueType.INT8: "b",
    GGUFValueType.UINT16: "H",
    GGUFValueType.INT16: "h",
    GGUFValueType.UINT32: "I",
    GGUFValueType.INT32: "i",
    GGUFValueType.FLOAT32: "f",
    GGUFValueType.UINT64: "Q",
    GGUFValueType.INT64: "q",
    GGUFValueType.FLOAT64: "d",
    GGUFValueType.BOOL: "?",
}


@dataclass(frozen=True)
class RawTensor:
    """A tensor as the file holds it."""

    name: str
    kind: GGMLQuantizationType
    data: npt.NDArray[np.uint8]  # [rows, bytes of a row]
    shape: tuple[int, ...]  # (out, in), or (size,)

    def copy(self) -> "RawTensor":
        """The same in memory of its own, which the file can't take away."""
        return RawTensor(self.name, self.kind, np.array(self.data), self.shape)

    def rows(self, index: npt.NDArray[np.integer]) -> "RawTensor":
        """A copy with the rows `index`, in that order."""
        return RawTensor(self.name, self.kind, self.data[index], (len(index), *self.shape[1:]))

    def floats(self) -> npt.NDArray[np.float32]:
        """A copy of all values, dequantised, in the tensor's shape."""
        values = gguf.quants.dequantize(self.data, self.kind)
        return np.array(values, np.float32).reshape(self.shape)


@dataclass(frozen=True)
class GgufFile:
    """What a file holds; the tensors' data stays in the file until it is read."""

    metadata: dict[str, Any]  # arrays of numbers are numpy arrays, arrays of strings lists
    tensors: dict[str, RawTensor]  # by name
    sha256: str  # of the whole file, hexadecimal


def read_gguf(path: Path) -> GgufFile:
    """Map the file and read its header.

    Raises:
        ModelError: not there, not a GGUF file, or not whole.
    """
    if not path.is_file():
        raise ModelError("no such file; fetch it, or set engine.model")
    try:
        with path.open("rb") as file:  # one file is hashed and mapped, even when another takes its name
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return GgufFile(*_parse(np.memmap(file, np.uint8, mode="r")), digest)
    except (ValueError, KeyError, OverflowError, OSError, struct.error) as error:
        raise ModelError(f"not a whole GGUF file ({error}); fetch it again") from error


def _parse(data: npt.NDArray[np.uint8]) -> tuple[dict[str, Any], dict[str, RawTensor]]:
    cursor = _Cursor(data[:MAX_HEADER_BYTES])
    if cursor.take(4) != MAGIC:
        raise ValueError("it does not start with 'GGUF'")
    version, tensor_count, field_count = cursor.unpack("IQQ")
    if version not in VERSIONS:
        raise ValueError(f"version {version}, must be one of {VERSIONS}")
    metadata = {cursor.string(): cursor.value() for _ in range(field_count)}
    infos = [cursor.tensor_info() for _ in range(tensor_count)]
    alignment = _alignment(metadata)
    start = -(-cursor.offset // alignment) * alignment
    return metadata, {info[0]: _tensor(data, start, *info) for info in infos}


def _alignment(metadata: dict[str, Any]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or not 1 <= alignment <= MAX_ALIGNMENT:
        raise ValueError(f"alignment {alignment!r}, must be from 1 to {MAX_ALIGNMENT}")
    return alignment


def _tensor(
    data: npt.NDArray[np.uint8], start: int, name: str, shape: tuple[int, ...], kind: int, offset: int
) -> RawTensor:
    kind = GGMLQuantizationType(kind)
    *outer, width = gguf.quant_shape_to_byte_shape(shape, kind)
    rows = int(np.prod(outer, dtype=object))
    own = data[start + offset : start + offset + rows * width]
    if len(own) != rows * width:
        raise ValueError(f"tensor {name} reaches past the end of the file")
    return RawTensor(name, kind, own.reshape(rows, width), shape)


class _Cursor:
    """Reads little-endian values one after the other, and never past the end."""

    def __init__(self, data: npt.NDArray[np.uint8]) -> None:
        self._data, self.offset = memoryview(data), 0  # type: ignore[arg-type]

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self.offset:
            raise ValueError(f"it ends within a value at byte {self.offset}")
        self.offset += size
        return bytes(self._data[self.offset - size : self.offset])

    def unpack(self, layout: str) -> tuple[Any, ...]:
        layout = f"<{layout}"
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def string(self) -> str:
        return self.take(*self.unpack("Q")).decode("utf-8")

    def value(self) -> Any:
        kind = GGUFValueType(*self.unpack("I"))
        if kind != GGUFValueType.ARRAY:
            return self._scalar(kind)
        kind, count = GGUFValueType(self.unpack("I")[0]), self.unpack("Q")[0]
        if kind in SCALARS:
            numbers = np.dtype(SCALARS[kind]).newbyteorder("<")
            return np.frombuffer(self.take(count * numbers.itemsize), numbers)
        return [self._scalar(kind) for _ in range(count)]

    def tensor_info(self) -> tuple[str, tuple[int, ...], int, int]:
        """(name, shape with rows first, type, offset of its data)."""
        name, (dimensions,) = self.string(), self.unpack("I")
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise ValueError(f"tensor {name} has {dimensions} dimensions")
        shape = self.unpack(f"{dimensions}Q")[::-1]
        return name, shape, *self.unpack("IQ")

    def _scalar(self, kind: GGUFValueType) -> Any:
        return self.string() if kind == GGUFValueType.STRING else self.unpack(SCALARS[kind])[0]
