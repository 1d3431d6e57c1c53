"""Damaged base models: whatever is wrong with the file, the outcome is a model that runs or a ModelError.

For longer: TOWNSFOLK_FUZZ_ROUNDS=100000 pytest tests/unit/test_engine_fuzz.py. The native packing is fuzzed
under sanitizers too (native/tests/check_weights.cpp, run by scripts/sanitize).
"""

import itertools
import os
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Value

from tiny_model import write_sentence_pieces, write_tiny_model, write_vocabulary
from townsfolk.engine.gguf_file import read_gguf
from townsfolk.engine.model import open_model
from townsfolk.engine.native_runner import UNAVAILABLE, NativeRunner
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.runner import RaggedBatch, Row
from townsfolk.engine.tokenizer import ModelTokenizer
from townsfolk.errors import ModelError

ROUNDS = int(os.environ.get("TOWNSFOLK_FUZZ_ROUNDS", "3000"))
MOST_SECONDS, MOST_GROWTH_KB = 5.0, 200_000
NUMBERS = (0, 1, 2, 3, 31, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
FIELD_COUNT_AT, FIRST_TENSOR, ALIGNMENT = 16, b"token_embd.weight", 32
OPTIONAL = (
    "llama.attention.key_length",
    "llama.attention.sliding_window",
    "llama.attention.value_length",
    "llama.expert_count",
    "llama.rope.dimension_count",
    "llama.rope.scale_linear",
    "llama.rope.scaling.factor",
    "llama.rope.scaling.type",
    "tokenizer.ggml.add_space_prefix",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.scores",
)
"""Metadata that is read, but that the tiny models don't have."""


def field(name: str, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + value


def text(value: bytes) -> bytes:
    return struct.pack("<IQ", Value.STRING, len(value)) + value


VALUES = (
    text(b""),
    text(b"two"),
    struct.pack("<I?", Value.BOOL, True),
    struct.pack("<Ii", Value.INT32, -1),
    struct.pack("<IQ", Value.UINT64, 2**64 - 1),
    struct.pack("<If", Value.FLOAT32, 2.5),
    struct.pack("<Id", Value.FLOAT64, np.nan),
    struct.pack("<IIQ", Value.ARRAY, Value.INT32, 0),
    struct.pack("<IIQ2i", Value.ARRAY, Value.INT32, 2, 1, 0),
    struct.pack("<IIQ2?", Value.ARRAY, Value.BOOL, 2, False, True),
    struct.pack("<IIQQ1s", Value.ARRAY, Value.STRING, 1, 1, b"a"),
)
"""Values of many types, as a file spells them: the type, then the value."""

ROW = Row(np.array([5, 6, 7], np.int32), np.arange(3, dtype=np.int32))

Vocabulary = Callable[[gguf.GGUFWriter], list[str]]
KINDS = pytest.mark.parametrize(
    ("kind", "vocabulary"), [(Type.Q4_1, write_sentence_pieces), (Type.F16, write_vocabulary)]
)

pytestmark = pytest.mark.timeout(0 if ROUNDS > 10_000 else 300)


def damage(data: bytes, header: int, random: np.random.Generator) -> bytes:
    """One to three faults, mostly in the header: other numbers, other bytes, missing bytes, an early end."""
    damaged = bytearray(data)
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(0, header if random.random() < 0.8 else len(damaged)))
        match random.integers(0, 5):
            case 0:
                damaged[place : place + 8] = NUMBERS[random.integers(len(NUMBERS))].to_bytes(8, "little")
            case 1:
                number = NUMBERS[random.integers(len(NUMBERS))] % 2**32
                damaged[place : place + 4] = number.to_bytes(4, "little")
            case 2:
                damaged[place : place + 1] = bytes(random.integers(0, 256, 1, np.uint8))
            case 3:
                del damaged[place : place + int(random.integers(1, 9))]
            case _:
                del damaged[max(1, len(damaged) - int(random.integers(1, 300))) :]
    return bytes(damaged)


def retyped(data: bytes, name: str, value: bytes) -> bytes:
    """`data` with `value` for its metadata `name`, put after the others: the last of a name counts."""
    own = field(name, value)
    room = -len(own + field("filling", text(b""))) % ALIGNMENT  # the tensors' data must stay aligned
    own += field("filling", text(b" " * room))
    end = data.index(FIRST_TENSOR) - 8
    count = int.from_bytes(data[FIELD_COUNT_AT : FIELD_COUNT_AT + 8], "little") + 2
    head = data[:FIELD_COUNT_AT] + count.to_bytes(8, "little") + data[FIELD_COUNT_AT + 8 : end]
    return head + own + data[end:]


def serve(path: Path, portable: bool) -> bool:
    """Whether the file could be served; if it can't, it must say so."""
    try:
        model = open_model(path)
        ModelTokenizer(model.metadata)
        kind = OnnxRunner if portable or UNAVAILABLE else NativeRunner
        runner = kind(model, threads=1, kv_slots=16, max_positions=16)
        assert runner.forward(RaggedBatch([ROW])).shape == (1, model.params.vocab)
    except ModelError:
        return False
    return True


def tiny_model(folder: Path, kind: Type, vocabulary: Vocabulary) -> Path:
    return write_tiny_model(folder / "tiny.gguf", layers=1, kind=kind, vocabulary=vocabulary)


@KINDS
def test_values_of_any_type_are_refused_or_served(tmp_path: Path, kind: Type, vocabulary: Vocabulary) -> None:
    whole = tiny_model(tmp_path, kind, vocabulary)
    data, names = whole.read_bytes(), {*read_gguf(whole).metadata, *OPTIONAL}
    path, served = tmp_path / "retyped.gguf", 0
    for name, value in itertools.product(sorted(names), VALUES):
        path.unlink(missing_ok=True)
        path.write_bytes(retyped(data, name, value))
        served += serve(path, portable=False)
    assert 0 < served < len(names) * len(VALUES)


@KINDS
def test_a_damaged_file_is_refused_or_served(tmp_path: Path, kind: Type, vocabulary: Vocabulary) -> None:
    data = tiny_model(tmp_path, kind, vocabulary).read_bytes()
    header, random = data.index(b"blk.0.ffn_down.weight") + 50, np.random.default_rng(kind)
    memory, served, longest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0, 0.0
    path = tmp_path / "damaged.gguf"
    for turn in range(ROUNDS // 2):
        path.unlink(missing_ok=True)  # a model of an earlier round may still be mapped
        path.write_bytes(damage(data, header, random))
        start = time.monotonic()
        served += serve(path, portable=turn % 16 == 0)
        longest = max(longest, time.monotonic() - start)
    assert 0 < served < ROUNDS // 2
    assert longest < MOST_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < MOST_GROWTH_KB
