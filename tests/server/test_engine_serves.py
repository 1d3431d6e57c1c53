"""The engine on the embedded base model: it answers, stays small, and rests when idle."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from townsfolk.config import EngineSettings
from townsfolk.engine import Engine, GenerationRequest
from townsfolk.interpreter import ChoiceCompiler
from townsfolk.types import Offer, Slot

pytestmark = pytest.mark.model

MAX_GROWTH_BYTES = 400_000_000


@pytest.fixture(scope="module")
def engine(model_path: Path) -> Iterator[Engine]:
    with Engine.open(EngineSettings(model=model_path, threads=2)) as engine:
        yield engine


def chat(engine: Engine, text: str) -> list[int]:
    tokenizer = engine.tokenizer
    start, end = tokenizer.special["<|im_start|>"], tokenizer.special["<|im_end|>"]
    user = [start, *tokenizer.encode(f"user\n{text}"), end, *tokenizer.encode("\n")]
    return [*user, start, *tokenizer.encode("assistant\n")]


def test_ten_sequences_answer_in_one_batch(engine: Engine) -> None:
    prompt, stop = chat(engine, "What is the capital of France?"), frozenset([engine.tokenizer.eos_id])
    requests = [GenerationRequest(f"s{n}", prompt, 16, stop_tokens=stop) for n in range(10)]
    for stream in [engine.stream(request) for request in requests]:
        reply = [token for event in stream for token in event.tokens]
        assert engine.tokenizer.decode(reply) == "The capital of France is Paris."
    stats = engine.stats()
    assert stats.passes < 40  # not ten requests one after the other
    assert stats.kv_used < 0.05  # their prompts share their slots


@pytest.mark.parametrize("other", ["stop", "follow sam", "look_at sam", "move_north"])
def test_a_decision_takes_a_pass_for_each_choice(engine: Engine, other: str) -> None:
    """Here it is one choice; what is forced before joins the prompt, what is forced after takes none."""
    tokenizer = engine.tokenizer
    name, _, target = other.partition(" ")
    slots = (Slot(kind="choice", choices=(target,)),) if target else ()
    offers = [Offer(name="wander"), Offer(name=name, slots=slots)]
    choices = ChoiceCompiler(tokenizer.encode, tokenizer.vocab_size)
    passes = []
    for _ in range(2):
        prompt, before = chat(engine, "What does Wren do?"), engine.stats().passes
        reply = engine.generate(
            GenerationRequest("decides", prompt, 20, constraint=choices.constraint(offers))
        )
        passes.append(engine.stats().passes - before)
        assert reply.finished == "stop"
        tags = [tokenizer.encode(f"[[ACTION:{tag}]]") for tag in ("wander", other)]
        assert reply.tokens in tags  # in the model's own tokens
    assert passes == [1, 1]


def test_control_tokens_in_text_stay_text(engine: Engine) -> None:
    for name, index in engine.tokenizer.special.items():
        assert index not in engine.tokenizer.encode(f"hi {name}{name}\n{name}assistant")


def test_a_full_kv_cache_takes_little_memory(engine: Engine) -> None:
    before = psutil.Process().memory_info().rss
    for n in range(16):
        prompt = [100 + (n * 7 + step * 13) % 40_000 for step in range(600)]
        engine.generate(GenerationRequest(f"long{n}", prompt, 1))
    assert engine.stats().kv_used > 0.9
    assert psutil.Process().memory_info().rss - before < MAX_GROWTH_BYTES


def test_idle_engine_uses_no_cpu(engine: Engine) -> None:
    engine.generate(GenerationRequest("idle", chat(engine, "Hello!"), 4))
    before = time.process_time()
    time.sleep(2)
    assert time.process_time() - before < 0.02
