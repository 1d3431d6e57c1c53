"""Every family and type of weight against transformers + PEFT in float32, on the same dequantised weights."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGMLQuantizationType as Type

from family_model import HEAD_DIMS, transformers_model, write_family_model
from tiny_model import write_random_adapter
from townsfolk.engine.adapters import Adapter, read_adapter
from townsfolk.engine.model import Model, open_model
from townsfolk.engine.native_runner import UNAVAILABLE, NativeRunner
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.runner import BASE, RaggedBatch, Row, Runner

pytestmark = [pytest.mark.reference]

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
EXACT = {Type.Q4_0, Type.Q4_1, Type.Q4_K, Type.Q8_0}
TYPES = (*sorted(EXACT), Type.F32, Type.F16, Type.BF16, Type.Q5_0, Type.Q5_1, Type.Q5_K, Type.Q6_K)
RUNNERS: dict[str, Callable[..., Runner]] = {"native": NativeRunner, "onnx": OnnxRunner}
BARS = {"native": 0.02, "onnx": 0.002}
"""The native runner rounds what 4-bit weights are multiplied by to 8 bits."""

Floats = npt.NDArray[np.float32]


@pytest.fixture(autouse=True)
def _torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch = pytest.importorskip("torch", reason="needs the train extra")
    torch.set_num_threads(1)


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest) -> Callable[[Model], Runner]:
    if request.param == "native" and UNAVAILABLE:
        pytest.skip(UNAVAILABLE)
    return lambda model: RUNNERS[request.param](model, threads=1, kv_slots=512, max_positions=128)


def texts() -> list[npt.NDArray[np.int32]]:
    random = np.random.default_rng(3)
    return [random.integers(3, 260, length).astype(np.int32) for length in (40, 25)]


def run(runner: Runner, adapters: Sequence[int] = (BASE, BASE)) -> Floats:
    """Logits after every token of the texts, in one mixed batch."""
    rows = [
        Row(tokens, np.arange(100 * n, 100 * n + len(tokens), dtype=np.int32), adapter, wanted=len(tokens))
        for n, (tokens, adapter) in enumerate(zip(texts(), adapters, strict=True))
    ]
    return runner.forward(RaggedBatch(rows))


def reference(models: Sequence[Any]) -> Floats:
    import torch

    with torch.no_grad():
        logits = [
            m(torch.from_numpy(t[None].astype(np.int64))).logits[0]
            for m, t in zip(models, texts(), strict=True)
        ]
    joined: Floats = torch.cat(logits).numpy()
    return joined


def check(runner: Runner, expected: Floats, adapters: Sequence[int] = (BASE, BASE), bar: float = 0.0) -> None:
    """The root mean square error, relative to the reference's, is within the runner's bar, or `bar`."""
    ours = run(runner, adapters)
    error = float(np.linalg.norm(ours - expected) / np.linalg.norm(expected))
    assert error < max(bar, BARS[runner.name])


@pytest.mark.parametrize("architecture", HEAD_DIMS)
@pytest.mark.parametrize("tied", [True, False])
def test_families(architecture: str, tied: bool, runner: Callable[[Model], Runner], tmp_path: Path) -> None:
    path = write_family_model(tmp_path / "model.gguf", architecture, tied=tied)
    expected = reference([transformers_model(path)] * 2)
    check(runner(open_model(path)), expected)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_types(kind: Type, runner: Callable[[Model], Runner], tmp_path: Path) -> None:
    path = write_family_model(tmp_path / "model.gguf", "qwen3", kind=kind)
    expected = reference([transformers_model(path)] * 2)
    check(runner(open_model(path)), expected, bar=0.0 if kind in EXACT else 0.02)


def test_factors_of_the_rotary_embedding(runner: Callable[[Model], Runner], tmp_path: Path) -> None:
    path = write_family_model(tmp_path / "model.gguf", "llama", factors=True)
    expected = reference([transformers_model(path)] * 2)
    check(runner(open_model(path)), expected)


@pytest.mark.parametrize("architecture", HEAD_DIMS)
def test_adapters(architecture: str, runner: Callable[[Model], Runner], tmp_path: Path) -> None:
    from peft import PeftModel

    path = write_family_model(tmp_path / "model.gguf", architecture)
    model = open_model(path)
    adapters, models = list[Adapter](), []
    for seed in (1, 2):
        folder = write_random_adapter(
            tmp_path / str(seed), model.params, model.base_hash, seed=seed, targets=TARGETS, scale=0.2
        )
        adapters.append(read_adapter(folder, [tmp_path], model.params, model.base_hash))
        models.append(PeftModel.from_pretrained(transformers_model(path), str(folder)).eval())
    own = runner(model)
    own.set_adapters([own.lay_out(adapter) for adapter in adapters])
    check(own, reference(models), (0, 1))
