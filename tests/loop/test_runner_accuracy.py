"""Both runners against transformers + PEFT in float32: 2,000 positions of real text with 4 adapters, and one
text in the middle of which an adapter is activated (PEFT's `alora_invocation_tokens`)."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tiny_model import write_random_adapter
from townsfolk.engine.adapter_slots import LoadedAdapter
from townsfolk.engine.adapters import Adapter, read_adapter
from townsfolk.engine.model import Model, open_model
from townsfolk.engine.native_runner import UNAVAILABLE, NativeRunner
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.runner import BASE, RaggedBatch, Row, Runner
from townsfolk.engine.tokenizer import ModelTokenizer

pytestmark = [pytest.mark.model, pytest.mark.reference, pytest.mark.timeout(900)]

ADAPTERS, LENGTH = 4, 500
ACTIVATED_AT, INVOCATION_LENGTH = 300, 4
SAME_BEST, MEAN_KL, PERPLEXITY = 0.99, 0.01, 0.01
SAME_BEST_OF_FEW = 0.98  # of 500 positions, where one counts for more
SAME_BEST_8_BITS = 0.98  # met and missed by near-ties at 0.99: see dev/LOG.md
TEXT = Path(__file__).with_name("accuracy_text.txt")
"""An earlier README. It is kept as it is: figures in dev/LOG.md rest on it."""

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
    """A stretch of the text for each adapter."""
    tokens = ModelTokenizer(model.metadata).encode(TEXT.read_text(encoding="utf-8"))
    return [tokens[start : start + LENGTH] for start in range(0, ADAPTERS * LENGTH, LENGTH)]


@pytest.fixture(scope="module")
def activated(model: Model, texts: list[list[int]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that four tokens in the middle of the first text activate."""
    invocation = texts[0][ACTIVATED_AT : ACTIVATED_AT + INVOCATION_LENGTH]
    return write_random_adapter(
        tmp_path_factory.mktemp("activated"),
        model.params,
        model.base_hash,
        seed=ADAPTERS,
        scale=0.2,
        alora_invocation_tokens=invocation,
    )


@pytest.fixture(scope="module")
def expected(model_path: Path, folders: list[Path], activated: Path, texts: list[list[int]]) -> list[Logits]:
    """Of each text with its adapter, then of the first one with that which is activated."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(2)
    base = AutoModelForCausalLM.from_pretrained(
        str(model_path.parent), gguf_file=model_path.name, dtype=torch.float32
    )
    adapted = PeftModel.from_pretrained(base, str(folders[0]), adapter_name="0")
    for name, folder in enumerate([*folders[1:], activated], start=1):
        adapted.load_adapter(str(folder), adapter_name=str(name))
    adapted.eval()
    logits = []
    for index, tokens in enumerate([*texts, texts[0]]):
        adapted.set_adapter(str(index))
        with torch.no_grad():
            logits.append(adapted(torch.tensor([tokens])).logits[0].numpy())
    return logits


@pytest.mark.parametrize("name", RUNNERS)
def test_logits_equal_transformers_and_peft(
    name: str, model: Model, folders: list[Path], texts: list[list[int]], expected: list[Logits]
) -> None:
    runner = opened(name, model, [read(folder, model) for folder in folders])
    ours = np.concatenate([logits_after(runner, index, text) for index, text in enumerate(texts)])
    theirs = np.concatenate(expected[:-1])
    check_bars(name, ours, theirs)
    ratio = perplexity(log_softmax(ours), texts) / perplexity(log_softmax(theirs), texts)
    print(f"perplexity x {ratio:.5f}")
    assert abs(ratio - 1) < PERPLEXITY


@pytest.mark.parametrize("name", RUNNERS)
def test_an_activated_adapter_equals_peft(
    name: str, model: Model, activated: Path, texts: list[list[int]], expected: list[Logits]
) -> None:
    adapter = read(activated, model)
    runner = opened(name, model, [adapter])
    base = logits_after(runner, BASE, texts[0])
    start = LoadedAdapter("", 0, 0, adapter.invocation, None).starts_at(texts[0])
    assert start == ACTIVATED_AT
    context = Row(np.array(texts[0][:start], np.int32), np.arange(start, dtype=np.int32), wanted=0)
    runner.forward(RaggedBatch([context]))  # by the base model alone: it serves whatever adapter comes then
    rest = Row(
        np.array(texts[0][start:], np.int32), np.arange(LENGTH, dtype=np.int32), 0, start, LENGTH - start
    )
    ours = runner.forward(RaggedBatch([rest]))
    check_bars(name, np.concatenate([base[:start], ours]), expected[-1], SAME_BEST_OF_FEW)
    assert (
        np.abs(ours - base[start:]).max(-1).min() > 0.5
    )  # or else this would prove nothing about the adapter


def test_an_eight_bit_cache_changes_little(model: Model, folders: list[Path], texts: list[list[int]]) -> None:
    adapters = [read(folder, model) for folder in folders]
    eight, sixteen = (
        np.concatenate([logits_after(runner, index, text) for index, text in enumerate(texts)])
        for runner in (opened("native", model, adapters, kv_bits=bits) for bits in (8, 16))
    )
    check_bars("8-bit KV cache", eight, sixteen, SAME_BEST_8_BITS)


def read(folder: Path, model: Model) -> Adapter:
    return read_adapter(folder, [folder.parent], model.params, model.base_hash)


def opened(name: str, model: Model, adapters: list[Adapter], **options: int) -> Runner:
    if name == "native" and UNAVAILABLE:
        pytest.skip(UNAVAILABLE)
    runner = RUNNERS[name](model, threads=2, kv_slots=ADAPTERS * LENGTH, max_positions=LENGTH, **options)
    runner.set_adapters([runner.lay_out(adapter) for adapter in adapters])
    return runner


def logits_after(runner: Runner, adapter: int, text: list[int]) -> Logits:
    first = max(adapter, 0) * LENGTH
    slots = np.arange(first, first + LENGTH, dtype=np.int32)
    return runner.forward(RaggedBatch([Row(np.array(text, np.int32), slots, adapter, wanted=LENGTH)]))


def check_bars(name: str, ours: Logits, theirs: Logits, least_same: float = SAME_BEST) -> None:
    same_best = float((ours.argmax(-1) == theirs.argmax(-1)).mean())
    p, q = log_softmax(theirs), log_softmax(ours)
    divergence = float((np.exp(p) * (p - q)).sum(-1).mean())
    print(f"{name}: same best token {same_best:.4f}, mean KL {divergence:.6f}")
    assert same_best >= least_same
    assert divergence < MEAN_KL


def log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def perplexity(scores: npt.NDArray[np.float64], texts: list[list[int]]) -> float:
    """Of each text's tokens but the first."""
    by_text = scores.reshape(len(texts), LENGTH, -1)
    chosen = [own[np.arange(LENGTH - 1), text[1:]] for own, text in zip(by_text, texts, strict=True)]
    return float(np.exp(-np.concatenate(chosen).mean()))
