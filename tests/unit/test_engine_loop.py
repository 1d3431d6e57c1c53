"""The whole engine on a tiny random model: batches, caches, adapters, constraints, ends of requests."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tiny_model import write_random_adapter, write_tiny_model
from townsfolk.config import EngineSettings
from townsfolk.engine import Engine, GenerationRequest, PassReport, SamplingParams, TokenEvent
from townsfolk.engine.native_runner import UNAVAILABLE
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.runner import Mask, RaggedBatch
from townsfolk.errors import AdapterError, Busy, InvalidRequest, ModelError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine")
    write_tiny_model(folder / "tiny.gguf")
    return folder


def open_engine(folder: Path, **settings: int | str) -> Engine:
    defaults = {"threads": 1, "kv_tokens": 2_048, "max_context": 200, "adapter_slots": 2}
    return Engine.open(EngineSettings(model=folder / "tiny.gguf", **(defaults | settings)))


@pytest.fixture(scope="module", params=["native", "onnx"])
def engine(folder: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "native" and UNAVAILABLE:
        pytest.skip(UNAVAILABLE)
    with open_engine(folder, runner=request.param) as engine:
        yield engine


@pytest.fixture(scope="module")
def adapters(engine: Engine, folder: Path) -> list[str]:
    """Content hashes of four adapters, of different ranks and targets."""
    kinds = [
        (8, ["q_proj", "v_proj"]),
        (4, ["o_proj", "down_proj"]),
        (16, ["k_proj", "gate_proj"]),
        (2, ["up_proj"]),
    ]
    return [
        engine.load_adapter(
            write_random_adapter(
                folder / f"adapter{seed}",
                engine.model,
                engine.base_hash,
                rank=rank,
                seed=seed,
                targets=targets,
            ),
            [folder],
        ).content_hash
        for seed, (rank, targets) in enumerate(kinds)
    ]


def prompt(seed: int, length: int = 20) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(3, 260, length)]


def ask(seed: int, adapter: str | None = None, **fields: object) -> GenerationRequest:
    """A request on a sequence of its own."""
    values = {"sequence_id": f"s{seed}", "prompt": prompt(seed, 5 + 7 * seed), "max_tokens": 12}
    return GenerationRequest(**(values | {"adapter": adapter} | fields))  # type: ignore[arg-type]


class Only:
    """A constraint that allows `tokens`, forces `first` and then `after` each, is done after `length`."""

    def __init__(
        self,
        tokens: list[int],
        after: tuple[int, ...] = (),
        length: int = 99,
        sharp: bool = False,
        first: tuple[int, ...] = (),
    ) -> None:
        self._tokens, self._after, self._length, self.sharp = tokens, after, length, sharp
        self._first = first
        self.fork: tuple[int, ...] = ()
        self.seen: list[int] = []

    @property
    def done(self) -> bool:
        return len(self.seen) >= self._length

    def mask(self) -> Mask | None:
        bits = np.zeros(288, np.uint8)
        bits[self._tokens] = 1
        return np.packbits(bits, bitorder="little").view(np.int32)

    def advance(self, token: int) -> None:
        self.seen.append(token)

    def forced(self) -> list[int]:
        return list(self._after if self.seen else self._first)


def test_a_sharp_constraint_takes_the_likeliest_however_hot_the_sampling(engine: Engine) -> None:
    hot = SamplingParams(temperature=5.0)
    allowed = list(range(3, 260))
    greedy = engine.generate(ask(3, constraint=Only(allowed))).tokens
    for seed in range(3):
        sampling = replace(hot, seed=seed)
        assert (
            engine.generate(ask(3, sampling=sampling, constraint=Only(allowed, sharp=True))).tokens == greedy
        )


def test_logits_that_are_no_numbers_are_not_blamed_on_the_grammar(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRunner, "forward", lambda own, _: np.full((1, own.vocab), np.nan, np.float32))
    with open_engine(folder, runner="onnx") as engine:
        assert "logits are NaN" in engine.generate(ask(1)).error


def test_rows_of_a_mixed_batch_equal_each_row_alone(
    folder: Path, engine: Engine, adapters: list[str]
) -> None:
    requests = [ask(n, [None, *adapters][n % 5], sequence_id=f"mixed{n}") for n in range(10)]
    streams = [engine.stream(request) for request in requests]
    mixed = [[token for event in stream for token in event.tokens] for stream in streams]
    for request, tokens in zip(requests, mixed, strict=True):
        engine.drop(request.sequence_id)
        assert engine.generate(request).tokens == tokens
    assert len({tuple(tokens) for tokens in mixed}) > 5


def test_an_adapter_is_w_plus_scaled_b_a(engine: Engine, adapters: list[str]) -> None:
    base, adapted = engine.score(prompt(1)), engine.score(prompt(1), adapters[0])
    assert np.abs(base - adapted).max() > 0.1
    np.testing.assert_array_equal(base, engine.score(prompt(1)))


def test_more_adapters_than_slots_all_answer(engine: Engine, adapters: list[str]) -> None:
    streams = [engine.stream(ask(n, adapters[n % 4], sequence_id=f"slots{n}")) for n in range(8)]
    assert {[*stream][-1].finished for stream in streams} == {"length"}
    assert engine.stats().adapters_resident == 2


def test_chunked_prefill_changes_nothing(folder: Path, engine: Engine) -> None:
    with open_engine(folder, max_prefill_tokens=8) as chunked:
        assert chunked.generate(ask(9)).tokens == engine.generate(ask(9, sequence_id="whole")).tokens


def test_scores_are_the_same_in_chunks(folder: Path, engine: Engine) -> None:
    tokens = prompt(4, 40)
    whole = engine.score(tokens)
    with open_engine(folder, runner=engine.runner_name, max_prefill_tokens=8) as chunked:
        np.testing.assert_allclose(chunked.score(tokens), whole, atol=2e-2)
        np.testing.assert_allclose(chunked.score(tokens, wanted=10), whole[-10:], atol=2e-2)
        stats = chunked.stats()
    assert (stats.passes, stats.prefilled_tokens) == (5 + 5, 40 + 40)
    assert stats.kv_used == 0


def test_passes_come_between_the_chunks_of_a_score(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []  # new tokens of each pass
    with open_engine(folder, max_prefill_tokens=8) as engine:
        forward = engine._runner.forward

        def slow(batch: RaggedBatch) -> npt.NDArray[np.float32]:
            rows.append(batch.size)
            time.sleep(0.002)  # else a score is done before the other thread has had a turn at all
            return forward(batch)

        monkeypatch.setattr(engine._runner, "forward", slow)
        stream = engine.stream(ask(1, max_tokens=100))
        next(stream)
        engine.score(prompt(1, 192))
        assert [*stream][-1].finished == "length"
    first = rows.index(1)
    scored = [n for n in range(first, len(rows)) if rows[n] == 8]
    assert len(scored) == 24
    assert np.count_nonzero(np.diff(scored) > 1) >= 18  # mostly by turns


def test_a_score_that_fails_leaves_nothing_in_use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_engine(folder) as engine:
        path = write_random_adapter(folder / "heavy", engine.model, engine.base_hash, seed=7)
        heavy = engine.load_adapter(path, [folder]).content_hash

        def no_memory(*_: object) -> None:
            raise MemoryError

        for method in ("set_adapters", "forward"):
            with monkeypatch.context() as patch:
                patch.setattr(engine._runner, method, no_memory)
                with pytest.raises(MemoryError):
                    engine.score(prompt(1), heavy)
            assert engine.stats().kv_used == 0
            assert not any(sequence.in_use for sequence in engine._core.kv._sequences.values())
        assert engine.generate(ask(1)).finished == "length"


def test_a_sequence_may_have_any_name_while_a_score_runs(engine: Engine) -> None:
    scores: list[object] = []
    scoring = threading.Thread(target=lambda: scores.append(engine.score(prompt(1, 150))))
    scoring.start()
    assert engine.generate(ask(2, sequence_id="score")).finished == "length"
    scoring.join()
    assert len(scores) == 1


def test_prompt_tokens_are_counted_by_position(folder: Path) -> None:
    with open_engine(folder, max_prefill_tokens=8) as engine:
        engine.generate(ask(1, prompt=prompt(1, 9)))  # 8 + 1
        assert engine.stats().prefilled_tokens == 9
        engine.generate(ask(2, prompt=prompt(2, 1), constraint=Only([10], first=(40, 41))))
        assert engine.stats().prefilled_tokens == 10


def test_next_turn_prefills_only_what_is_new(engine: Engine) -> None:
    first = ask(3, sequence_id="turns")
    reply = engine.generate(first)
    second = ask(3, sequence_id="turns", prompt=first.prompt + reply.tokens + [5, 6])
    timings = engine.generate(second).timings
    assert timings
    assert timings.cached_tokens == len(first.prompt) + len(reply.tokens) - 1  # the last was never run
    cached = engine.generate(second).tokens
    engine.drop("turns")
    assert engine.generate(second).tokens == cached


def test_evicted_sequences_are_rebuilt(folder: Path) -> None:
    with open_engine(folder, kv_tokens=512, max_context=128) as engine:
        requests = [ask(n, prompt=prompt(n, 100), sequence_id=f"evicted{n}") for n in range(8)]
        before = [engine.generate(request).tokens for request in requests]
        assert engine.stats().evictions > 0
        streams = [engine.stream(request) for request in requests]
        assert [[t for event in stream for t in event.tokens] for stream in streams] == before


def test_constraint_masks_and_forces(engine: Engine) -> None:
    constraint = Only([10, 20], after=(30, 31))
    reply = engine.generate(ask(2, constraint=constraint, max_tokens=9))
    assert set(reply.tokens[0::3]) <= {10, 20}
    assert reply.tokens[1::3] == [30] * 3
    assert reply.tokens[2::3] == [31] * 3
    assert constraint.seen == reply.tokens


def test_a_decision_with_one_choice_is_one_pass(engine: Engine) -> None:
    passes = engine.stats().passes
    decision = Only([10, 20], first=(40, 41), after=(30, 31), length=5)
    events = list(engine.stream(ask(2, constraint=decision)))
    tokens = [token for event in events for token in event.tokens]
    assert (tokens[:2], tokens[3:], events[-1].finished) == ([40, 41], [30, 31], "stop")
    assert decision.seen == tokens
    assert engine.stats().passes == passes + 1


def test_what_is_forced_at_once_obeys_the_ends(engine: Engine) -> None:
    passes = engine.stats().passes
    short = engine.generate(ask(2, constraint=Only([10], first=(40, 41, 42)), max_tokens=2))
    assert (short.finished, short.tokens) == ("length", [40, 41])
    stopped = engine.generate(ask(2, constraint=Only([10], first=(40, 41)), stop_tokens=frozenset([41])))
    assert (stopped.finished, stopped.tokens) == ("stop", [40])
    assert engine.stats().passes == passes


def test_forced_tokens_give_the_same_as_decoding_them(engine: Engine) -> None:
    free = engine.generate(ask(4, sequence_id="free")).tokens
    again = engine.generate(ask(4, sequence_id="again", prompt=[*ask(4).prompt, *free[:6]], max_tokens=6))
    assert again.tokens == free[6:]


def test_ends(engine: Engine) -> None:
    whole = engine.generate(ask(5))
    assert (whole.finished, len(whole.tokens)) == ("length", 12)
    stopped = engine.generate(ask(5, stop_tokens=frozenset(whole.tokens[4:5])))
    assert stopped.finished == "stop"
    assert stopped.tokens == whole.tokens[: whole.tokens.index(whole.tokens[4])]
    done = engine.generate(ask(5, constraint=Only(list(range(260)), length=3)))
    assert (done.finished, len(done.tokens)) == ("stop", 3)
    empty = engine.generate(ask(5, constraint=Only([])))
    assert (empty.finished, empty.tokens) == ("error", [])


def test_late_work_is_dropped_and_counted(engine: Engine) -> None:
    before = engine.stats()
    assert engine.generate(ask(6, deadline=time.monotonic() - 1)).finished == "late"
    after = engine.stats()
    assert after.dropped_late == before.dropped_late + 1
    assert after.generated_tokens == before.generated_tokens


def test_cancel(engine: Engine) -> None:
    stream = engine.stream(ask(7, max_tokens=170))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    ended = threading.Event()
    handle = engine.submit(ask(8, max_tokens=120), lambda event: ended.set() if event.finished else None)
    handle.cancel()
    assert ended.wait(5)
    assert engine.stats().running_rows == 0


def test_drop_cancels_and_forgets(engine: Engine) -> None:
    ends: list[TokenEvent] = []
    ended = threading.Event()

    def on_token(event: TokenEvent) -> None:
        if event.finished:
            ends.append(event)
            ended.set()

    engine.submit(ask(9, sequence_id="dropped", max_tokens=120), on_token)
    engine.drop("dropped")
    assert ended.wait(5)
    assert ends[0].finished == "cancelled"


def test_full_queue(folder: Path) -> None:
    with open_engine(folder, max_queue=2, kv_tokens=512, max_context=200) as engine:
        long = [ask(n, sequence_id=f"q{n}", max_tokens=190, prompt=prompt(n, 5)) for n in range(20)]

        def submit_all() -> None:
            for request in long:
                engine.submit(request, lambda event: None)

        with pytest.raises(Busy):
            submit_all()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"prompt": []}, InvalidRequest),
        ({"prompt": [1] * 200}, InvalidRequest),
        ({"prompt": [1, 269]}, InvalidRequest),
        ({"prompt": [-1]}, InvalidRequest),
        ({"max_tokens": 0}, InvalidRequest),
        ({"adapter": "0" * 64}, AdapterError),
    ],
)
def test_wrong_requests_are_refused_at_the_door(
    engine: Engine, fields: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        engine.generate(ask(1, **fields))  # type: ignore[arg-type]


def test_unloaded_adapter_takes_no_more_requests(engine: Engine, folder: Path) -> None:
    path = write_random_adapter(folder / "gone", engine.model, engine.base_hash, seed=99)
    content_hash = engine.load_adapter(path, [folder]).content_hash
    assert content_hash in {adapter.content_hash for adapter in engine.adapters()}
    engine.unload_adapter(content_hash)
    with pytest.raises(AdapterError, match="not loaded"):
        engine.generate(ask(1, content_hash))


def test_seed_gives_the_same_reply_in_any_batch(engine: Engine) -> None:
    seeded = SamplingParams(temperature=1, seed=11)
    alone = engine.generate(ask(2, sampling=seeded, sequence_id="seed")).tokens
    streams = [engine.stream(ask(2, sampling=seeded, sequence_id=f"seed{n}")) for n in range(4)]
    assert all([t for event in stream for t in event.tokens] == alone for stream in streams)


def test_idle_engine_uses_no_cpu(engine: Engine) -> None:
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.05


def test_observer_sees_each_pass(folder: Path) -> None:
    reports: list[PassReport] = []
    settings = EngineSettings(model=folder / "tiny.gguf", threads=1, kv_tokens=512, max_context=128)
    with Engine.open(settings, reports.append) as engine:
        engine.generate(ask(1))
        passes = engine.stats().passes
    assert len(reports) == passes
    assert sum(report.new_tokens for report in reports) == len(ask(1).prompt) + 11


def test_closed_engine_takes_nothing(folder: Path) -> None:
    engine = open_engine(folder)
    engine.close()
    with pytest.raises(ModelError, match="closed"):
        engine.generate(ask(1))
