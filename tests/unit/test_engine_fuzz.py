"""Damaged base models: whatever is wrong with the file, the outcome is a model that runs or a ModelError.

For longer: TOWNSFOLK_FUZZ_ROUNDS=100000 pytest tests/unit/test_engine_fuzz.py. The native packing is fuzzed
under sanitizers too (native/tests/check_weights.cpp, run by scripts/sanitize).
"""

import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from tiny_model import write_tiny_model
from townsfolk.engine.model import open_model
from townsfolk.engine.native_runner import UNAVAILABLE, NativeRunner
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.runner import RaggedBatch, Row
from townsfolk.engine.tokenizer import ModelTokenizer
from townsfolk.errors import ModelError

ROUNDS = int(os.environ.get("TOWNSFOLK_FUZZ_ROUNDS", "3000"))
MOST_SECONDS, MOST_GROWTH_KB = 5.0, 200_000
NUMBERS = (0, 1, 2, 3, 31, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
ROW = Row(np.array([5, 6, 7], np.int32), np.arange(3, dtype=np.int32))

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


def serve(path: Path, portable: bool) -> bool:
    """Whether the file could be served; if it can't, it must say so."""
    try:
        model = open_model(path)
        ModelTokenizer(model.metadata).to_json()
        kind = OnnxRunner if portable or UNAVAILABLE else NativeRunner
        runner = kind(model, threads=1, kv_slots=16, max_positions=16)
        assert runner.forward(RaggedBatch([ROW])).shape == (1, model.params.vocab)
    except ModelError:
        return False
    return True


@pytest.mark.parametrize("kind", [Type.Q4_1, Type.F16])
def test_a_damaged_file_is_refused_or_served(tmp_path: Path, kind: Type) -> None:
    data = write_tiny_model(tmp_path / "tiny.gguf", layers=1, kind=kind).read_bytes()
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
