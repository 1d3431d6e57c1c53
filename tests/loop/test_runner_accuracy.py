"""Both runners against transformers + PEFT in float32, on 2,000 positions of real text with 4 adapters."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tiny_model import write_random_adapter
from townsfolk.engine.adapters import read_adapter
from townsfolk.engine.model import Model, open_model
from townsfolk.engine.native_runner import UNAVAILABLE, NativeRunner
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.runner import RaggedBatch, Row, Runner
from townsfolk.engine.tokenizer import ModelTokenizer

pytestmark = [pytest.mark.model, pytest.mark.reference, pytest.mark.timeout(900)]

ADAPTERS, LENGTH = 4, 500
SAME_BEST, MEAN_KL, PERPLEXITY = 0.99, 0.01, 0.01
PAGES = ("README.md", "ARCHITECTURE.md", "docs/store.md")

Logits = npt.NDArray[np.float32]
RUNNERS: dict[str, Callable[..., Runner]] = {"native": NativeRunner, "onnx": OnnxRunner}


@pytest.fixture(scope="module")
def model(model_path: Path) -> Model:
    return open_model(model_path)


@pytest.fixture(scope="module")
def folders(model: Model, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return [
        write_random_adapter(folder / str(seed), model.params, model.base_hash, seed=seed, scale=0.2)
        for seed in range(ADAPTERS)
    ]


@pytest.fixture(scope="module")
def texts(model: Model) -> list[list[int]]:
    """A stretch of our own pages for each adapter."""
    root = Path(__file__).parents[2]
    pages = "\n\n".join((root / page).read_text(encoding="utf-8") for page in PAGES)
    tokens = ModelTokenizer(model.metadata).encode(pages)
    return [tokens[start : start + LENGTH] for start in range(0, ADAPTERS * LENGTH, LENGTH)]


@pytest.fixture(scope="module")
def expected(model_path: Path, folders: list[Path], texts: list[list[int]]) -> list[Logits]:
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(2)
    base = AutoModelForCausalLM.from_pretrained(
        str(model_path.parent), gguf_file=model_path.name, dtype=torch.float32
    )
    adapted = PeftModel.from_pretrained(base, str(folders[0]), adapter_name="0")
    for name, folder in enumerate(folders[1:], start=1):
        adapted.load_adapter(str(folder), adapter_name=str(name))
    adapted.eval()
    logits = []
    for index, tokens in enumerate(texts):
        adapted.set_adapter(str(index))
        with torch.no_grad():
            logits.append(adapted(torch.tensor([tokens])).logits[0].numpy())
    return logits


@pytest.mark.parametrize("name", RUNNERS)
def test_logits_equal_transformers_and_peft(
    name: str, model: Model, folders: list[Path], texts: list[list[int]], expected: list[Logits]
) -> None:
    if name == "native" and UNAVAILABLE:
        pytest.skip(UNAVAILABLE)
    runner = RUNNERS[name](model, threads=2, kv_slots=ADAPTERS * LENGTH, max_positions=LENGTH)
    read = [read_adapter(folder, [folder.parent], model.params, model.base_hash) for folder in folders]
    runner.set_adapters([runner.lay_out(adapter) for adapter in read])
    ours = np.concatenate([logits_after(runner, index, text) for index, text in enumerate(texts)])
    theirs = np.concatenate(expected)
    same_best = float((ours.argmax(-1) == theirs.argmax(-1)).mean())
    p, q = log_softmax(theirs), log_softmax(ours)
    divergence = float((np.exp(p) * (p - q)).sum(-1).mean())
    ratio = perplexity(q, texts) / perplexity(p, texts)
    print(f"{name}: same best token {same_best:.4f}, mean KL {divergence:.6f}, perplexity x {ratio:.5f}")
    assert same_best >= SAME_BEST
    assert divergence < MEAN_KL
    assert abs(ratio - 1) < PERPLEXITY


def logits_after(runner: Runner, adapter: int, text: list[int]) -> Logits:
    slots = np.arange(adapter * LENGTH, (adapter + 1) * LENGTH, dtype=np.int32)
    return runner.forward(RaggedBatch([Row(np.array(text, np.int32), slots, adapter, wanted=LENGTH)]))


def log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def perplexity(scores: npt.NDArray[np.float64], texts: list[list[int]]) -> float:
    """Of each text's tokens but the first."""
    by_text = scores.reshape(len(texts), LENGTH, -1)
    chosen = [own[np.arange(LENGTH - 1), text[1:]] for own, text in zip(by_text, texts, strict=True)]
    return float(np.exp(-np.concatenate(chosen).mean()))
