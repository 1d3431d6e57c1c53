"""Slots of the KV cache that hold nothing any more: their memory goes back, what the others hold stays."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from tiny_model import write_tiny_model
from townsfolk.engine.model import open_model
from townsfolk.engine.native_runner import UNAVAILABLE, NativeRunner
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.runner import RaggedBatch, Row, Runner

SLOTS, IN_A_PAGE, KEPT = 65_536, 128, 20
"""A vector of the tiny model's has 32 bytes, so the cache has 16 MB; half of it where a number has 8 bits."""
KINDS: dict[str, Callable[..., Runner]] = {
    "onnx": OnnxRunner,
    "native": partial(NativeRunner, kv_bits=16),
    "native, 8 bits": partial(NativeRunner, kv_bits=8),
}


@pytest.fixture(params=KINDS)
def runner(tmp_path: Path, request: pytest.FixtureRequest) -> Runner:
    if request.param != "onnx" and UNAVAILABLE:
        pytest.skip(UNAVAILABLE)
    model = open_model(write_tiny_model(tmp_path / "tiny.gguf", context=1_024))
    return KINDS[request.param](model, threads=1, kv_slots=SLOTS, max_positions=1_024)


def row(tokens: int, slots: list[int]) -> RaggedBatch:
    """The last `tokens` of a sequence in `slots`."""
    return RaggedBatch([Row(np.full(tokens, 7, np.int32), np.array(slots, np.int32))])


def test_memory_goes_back_and_what_is_held_stays(runner: Runner) -> None:
    held = list(range(KEPT))
    runner.forward(row(KEPT, held))
    before = runner.forward(row(1, [*held, KEPT]))
    everywhere = list(range(IN_A_PAGE, SLOTS, IN_A_PAGE))
    runner.forward(row(len(everywhere), everywhere))
    full = psutil.Process().memory_info().rss
    runner.release(KEPT + 1)
    assert full - psutil.Process().memory_info().rss > 6e6
    np.testing.assert_array_equal(runner.forward(row(1, [*held, KEPT])), before)
    runner.release(0)
    runner.forward(row(KEPT, held))
    np.testing.assert_array_equal(runner.forward(row(1, [*held, KEPT])), before)
