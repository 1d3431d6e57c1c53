"""Adapters that apply from a position on, and adapters that change while the engine is busy."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tiny_model import write_random_adapter, write_tiny_model
from townsfolk.config import EngineSettings
from townsfolk.engine import Engine, Generation, GenerationRequest
from townsfolk.engine.native_runner import UNAVAILABLE
from townsfolk.errors import AdapterError, InvalidRequest

CONTEXT = [int(token) for token in np.random.default_rng(3).integers(3, 200, 40)]
INVOCATION = [210, 211]
QUESTION = [*CONTEXT, *INVOCATION, 5, 6]
SWAPPING_S, SWAP_EVERY_S = 3.0, 0.2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swap")
    write_tiny_model(folder / "tiny.gguf")
    return folder


@pytest.fixture(params=["native", "onnx"])
def engine(folder: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "native" and UNAVAILABLE:
        pytest.skip(UNAVAILABLE)
    settings = EngineSettings(
        model=folder / "tiny.gguf",
        runner=request.param,
        threads=1,
        kv_tokens=2_048,
        max_context=200,
        adapter_slots=4,
    )
    with Engine.open(settings) as engine:
        yield engine


def load(engine: Engine, folder: Path, seed: int, invocation: list[int] | None = None) -> str:
    path = folder / f"{seed}-{invocation}"
    write_random_adapter(path, engine.model, engine.base_hash, seed=seed, alora_invocation_tokens=invocation)
    return engine.load_adapter(path, [folder]).content_hash


def ask(
    engine: Engine, adapter: str | None, prompt: list[int], name: str = "wren", reply: int = 6
) -> Generation:
    return engine.generate(GenerationRequest(name, prompt, reply, adapter))


def cached(generation: Generation) -> int:
    assert generation.timings
    return generation.timings.cached_tokens


def test_what_the_base_computed_serves_every_activated_adapter(engine: Engine, folder: Path) -> None:
    first, second = (load(engine, folder, seed, INVOCATION) for seed in (1, 2))
    ask(engine, None, CONTEXT)
    replies = []
    for adapter in (first, second, None):
        reply = ask(engine, adapter, QUESTION)
        assert cached(reply) == len(CONTEXT)
        engine.drop("wren")
        fresh = ask(engine, adapter, QUESTION)
        assert (cached(fresh), fresh.tokens) == (0, reply.tokens)
        replies.append(tuple(reply.tokens))
    assert len(set(replies)) == 3


def test_the_next_turn_is_activated_anew(engine: Engine, folder: Path) -> None:
    adapter = load(engine, folder, 1, INVOCATION)
    reply = ask(engine, adapter, QUESTION)
    longer = [*QUESTION, *reply.tokens, 7, *INVOCATION, 8]
    following = ask(engine, adapter, longer)
    assert cached(following) == len(CONTEXT)  # what the adapter ran is the base model's to run now
    engine.drop("wren")
    assert ask(engine, adapter, longer).tokens == following.tokens


def test_without_its_invocation_an_adapter_does_not_apply(engine: Engine, folder: Path) -> None:
    adapter = load(engine, folder, 1, INVOCATION)
    base = ask(engine, None, [*CONTEXT, 210])
    unactivated = ask(engine, adapter, [*CONTEXT, 210])
    assert unactivated.tokens == base.tokens
    assert cached(unactivated) == len(CONTEXT)
    assert engine.stats().adapters_resident == 0


def test_a_reward_adapter_scores_the_cached_context(engine: Engine, folder: Path) -> None:
    reward = load(engine, folder, 3, INVOCATION)
    ask(engine, None, CONTEXT)
    before = engine.stats().prefilled_tokens
    logits = engine.score(QUESTION, reward, wanted=2)
    assert engine.stats().prefilled_tokens - before == len(QUESTION) - len(CONTEXT)
    engine.drop("wren")
    np.testing.assert_allclose(logits, engine.score(QUESTION, reward)[-2:], atol=2e-2)
    with pytest.raises(InvalidRequest, match="wanted is 0"):
        engine.score(QUESTION, reward, wanted=0)


def test_an_unloaded_adapter_finishes_what_is_under_way(engine: Engine, folder: Path) -> None:
    adapter = load(engine, folder, 1)
    whole = ask(engine, adapter, QUESTION, reply=100)
    engine.drop("wren")
    stream = engine.stream(GenerationRequest("wren", QUESTION, 100, adapter))
    tokens = [*next(stream).tokens]
    engine.unload_adapter(adapter)
    tokens += [token for event in stream for token in event.tokens]
    assert tokens == whole.tokens
    ask(engine, None, CONTEXT)
    assert engine.stats().adapters_resident == 0


def test_pinned_adapters_stay_resident(engine: Engine, folder: Path) -> None:
    adapters = [load(engine, folder, seed) for seed in range(6)]
    engine.pin_adapters(adapters[:3])
    for adapter in adapters * 2:
        assert ask(engine, adapter, QUESTION).finished == "length"
        resident = {info.content_hash for info in engine.adapters() if info.resident}
        assert resident >= set(adapters[:3])
    with pytest.raises(AdapterError, match="pin fewer"):
        engine.pin_adapters(adapters[:4])


def test_no_request_fails_while_adapters_are_swapped(engine: Engine, folder: Path) -> None:
    """Eight villagers talk without a pause; the adapter of two of them changes every 200 ms."""
    steady = [load(engine, folder, seed) for seed in range(3)]
    live = [load(engine, folder, 10)]
    ended, failed = [0], []
    until = time.monotonic() + SWAPPING_S
    loading = threading.Lock()  # as the shelf of the service does: what is named is not unloaded meanwhile

    def talk(villager: int) -> None:
        while time.monotonic() < until:
            with loading:
                adapter = live[0] if villager < 2 else steady[villager % 3]
                stream = engine.stream(GenerationRequest(f"v{villager}", QUESTION[villager:], 20, adapter))
            *_, last = stream
            ended[0] += 1
            if last.finished != "length":
                failed.append(last)

    with ThreadPoolExecutor(8) as villagers:
        talks = [villagers.submit(talk, villager) for villager in range(8)]
        swaps = 0
        while time.monotonic() < until:
            time.sleep(SWAP_EVERY_S)
            swaps += 1
            new = load(engine, folder, 10 + swaps)
            with loading:
                old, live[0] = live[0], new
            engine.unload_adapter(old)
        for each in talks:
            each.result()
    assert failed == []
    assert swaps > 5
    assert ended[0] > 50
    assert engine.stats().adapters_resident <= 4
