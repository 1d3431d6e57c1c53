"""The engine against transformers + PEFT in float32, on the same dequantised weights.

20 prompts, with 3 adapters of rank 8 and one of rank 16, go through one mixed batch, teacher-forced along the
reference's own greedy tokens. Where the reference's best token leads by over 0.1 nats, ours must be the same.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tiny_model import write_random_adapter
from townsfolk.engine.adapters import Adapter, read_adapter
from townsfolk.engine.model import Model, open_model
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.runner import RaggedBatch, Row
from townsfolk.engine.tokenizer import ModelTokenizer

pytestmark = [pytest.mark.model, pytest.mark.reference, pytest.mark.timeout(900)]

STEPS = 24
MARGIN = 0.1
"""Nats between the reference's best and second token, above which ours must agree."""
ALONE = 0.02
"""Logits of a row in a mixed batch and alone: sums in another order, then rounded into a 16-bit KV cache."""
RANKS = (8, 8, 8, 16)
QUESTIONS = (
    "What is the capital of France?", "Tell me a story about a dog.", "How do I make bread?", "Who are you?",
    "Hello there, friend!", "What is 12 plus 30?", "Name three colours.", "Why is the sky blue?",
    "Where can I find iron?", "Sing me a song.", "What do you sell?", "Follow me to the forest.",
    "Do you like rain?", "Write a poem about the sea.", "What time is it?", "Give me two apples.",
    "How old are you?", "Is there danger near?", "What does a guard do?", "Explain gravity simply.",
)  # fmt: skip

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reference:
    """One prompt, the reference's greedy reply, and its logits before each token of it [STEPS, vocab]."""

    prompt: list[int]
    reply: list[int]
    logits: Logits


@pytest.fixture(scope="module")
def model(model_path: Path) -> Model:
    return open_model(model_path)


@pytest.fixture(scope="module")
def folders(model: Model, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return [
        write_random_adapter(
            folder / str(seed), model.params, model.base_hash, rank=rank, seed=seed, scale=0.2
        )
        for seed, rank in enumerate(RANKS)
    ]


@pytest.fixture(scope="module")
def runner(model: Model, folders: list[Path]) -> OnnxRunner:
    runner = OnnxRunner(model, threads=2, kv_slots=4_096, max_positions=256)
    runner.set_adapters([runner.lay_out(read(folder, model)) for folder in folders])
    return runner


@pytest.fixture(scope="module")
def references(model: Model, model_path: Path, folders: list[Path]) -> list[Reference]:
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)  # two threads on a busy machine are slower than one
    base = AutoModelForCausalLM.from_pretrained(
        str(model_path.parent), gguf_file=model_path.name, dtype=torch.float32
    )
    adapted: Any = PeftModel.from_pretrained(base, str(folders[0]), adapter_name="0")
    for name, folder in enumerate(folders[1:], start=1):
        adapted.load_adapter(str(folder), adapter_name=str(name))
    adapted.eval()

    asked = prompts(ModelTokenizer(model.metadata))
    found: dict[int, Reference] = {}
    for slot in range(len(folders)):  # those of one adapter together, padded on the left
        indexes = range(slot, len(asked), len(folders))
        longest = max(len(asked[index]) for index in indexes)
        padding = [longest - len(asked[index]) for index in indexes]
        ids = [[2] * pad + asked[index] for pad, index in zip(padding, indexes, strict=True)]
        mask = [[0] * pad + [1] * (longest - pad) for pad in padding]
        adapted.set_adapter(str(slot))
        out = adapted.generate(
            input_ids=torch.tensor(ids),
            attention_mask=torch.tensor(mask),
            min_new_tokens=STEPS,
            max_new_tokens=STEPS,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
            pad_token_id=2,
        )
        logits = torch.stack(out.logits, dim=1).numpy()  # [prompts, STEPS, vocab]
        for row, index in enumerate(indexes):
            found[index] = Reference(asked[index], out.sequences[row, longest:].tolist(), logits[row])
    return [found[index] for index in range(len(asked))]


def read(folder: Path, model: Model) -> Adapter:
    return read_adapter(folder, [folder.parent], model.params, model.base_hash)


def prompts(tokenizer: ModelTokenizer) -> list[list[int]]:
    start, end = tokenizer.special["<|im_start|>"], tokenizer.special["<|im_end|>"]

    def message(role: str, text: str) -> list[int]:
        return [start, *tokenizer.encode(f"{role}\n{text}"), end, *tokenizer.encode("\n")]

    system = message("system", "You are a helpful villager in a small town.")
    ask = [start, *tokenizer.encode("assistant\n")]
    return [system + message("user", question) + ask for question in QUESTIONS]


def forced(
    runner: OnnxRunner, references: Sequence[Reference], indexes: Sequence[int], length: int = STEPS
) -> list[Logits]:
    """Logits before each of the first tokens of these replies, run together, [length, vocab] each."""
    ends = np.cumsum([0] + [len(references[index].prompt) + STEPS for index in indexes])
    steps = []
    for step in range(length):
        rows = []
        for start, index in zip(ends, indexes, strict=False):
            own = references[index]
            tokens = own.prompt if step == 0 else own.reply[step - 1 : step]
            slots = np.arange(start, start + len(own.prompt) + step, dtype=np.int32)
            rows.append(Row(np.array(tokens, np.int32), slots, adapter=index % len(RANKS)))
        steps.append(runner.forward(RaggedBatch(rows)))
    return [np.stack([logits[row] for logits in steps]) for row in range(len(indexes))]


def test_greedy_tokens_equal_transformers_and_peft(runner: OnnxRunner, references: list[Reference]) -> None:
    compared = 0
    for reference, ours in zip(references, forced(runner, references, range(20)), strict=True):
        best = np.sort(reference.logits, axis=-1)
        clear = best[:, -1] - best[:, -2] > MARGIN
        # not with the reply: it may go on where the best token would have ended it
        np.testing.assert_array_equal(ours.argmax(-1)[clear], reference.logits.argmax(-1)[clear])
        compared += int(clear.sum())
    print(f"{compared} of {20 * STEPS} positions compared")
    assert compared > 400


def test_each_row_equals_that_row_alone(runner: OnnxRunner, references: list[Reference]) -> None:
    mixed = forced(runner, references, range(20), length=8)
    for index in range(20):
        (alone,) = forced(runner, references, [index], length=8)
        np.testing.assert_array_equal(alone.argmax(-1), mixed[index].argmax(-1))
        np.testing.assert_allclose(alone, mixed[index], atol=ALONE)


def test_adapters_matter(runner: OnnxRunner, references: list[Reference], model: Model) -> None:
    """Or else the comparison above would prove nothing about them."""
    tokens = np.array(references[0].prompt, np.int32)
    slots = np.arange(len(tokens), dtype=np.int32)
    rows = [Row(tokens, slots + slot * len(tokens), slot) for slot in (-1, 0, 1, 2, 3)]
    logits = runner.forward(RaggedBatch(rows))
    for other in range(4):
        assert np.abs(logits[other] - logits[other + 1]).max() > 0.5


def test_tokenizer_agrees_with_transformers(model: Model, model_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the train extra")
    theirs = transformers.AutoTokenizer.from_pretrained(str(model_path.parent), gguf_file=model_path.name)
    ours = ModelTokenizer(model.metadata)
    odd = ("[[ACTION:give default:apple 2 sam]]", "x = 1.5;\n\n\tif (a<b) {}", "naïve 東京 😀 I'll")
    for text in (*QUESTIONS, *odd):
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False), text
