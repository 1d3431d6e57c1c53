"""The native runner on tiny random models: right, and the same to the bit however the work is laid out."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGMLQuantizationType as Type

from tiny_model import write_random_adapter, write_tiny_model
from townsfolk.config import EngineSettings
from townsfolk.engine import native_runner, runners
from townsfolk.engine.adapters import Adapter, read_adapter
from townsfolk.engine.model import PROJECTIONS, Model, open_model
from townsfolk.engine.native_runner import UNAVAILABLE, NativeRunner, _empty_decoder, _pack, usable_kernels
from townsfolk.engine.onnx_runner import OnnxRunner, unpack_mask
from townsfolk.engine.runner import BASE, RaggedBatch, Row
from townsfolk.errors import ModelError

pytestmark = pytest.mark.skipif(bool(UNAVAILABLE), reason=UNAVAILABLE)

Logits = npt.NDArray[np.float32]
KERNELS = usable_kernels()
LENGTHS, ADAPTERS, ADAPTED_FROM = (20, 1, 37, 5, 64, 3), (BASE, 0, 1, 2, 0, BASE), (0, 0, 0, 0, 30, 0)
SPACING = 100
ROUNDING = 0.1
"""Of logits that spread over about 3, by 8-bit activations in a model that is narrower than any real one."""
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return open_model(write_tiny_model(tmp_path_factory.mktemp("native") / "tiny.gguf"))


@pytest.fixture(scope="module")
def adapters(model: Model, tmp_path_factory: pytest.TempPathFactory) -> list[Adapter]:
    """Of odd and even ranks, on some and on all targets."""
    folder = tmp_path_factory.mktemp("adapters")
    kinds = [(8, ("q_proj", "v_proj")), (3, TARGETS), (16, ("k_proj", "o_proj", "gate_proj", "down_proj"))]
    return [
        read_adapter(
            write_random_adapter(
                folder / str(seed), model.params, model.base_hash, rank=rank, seed=seed, targets=targets
            ),
            [folder],
            model.params,
            model.base_hash,
        )
        for seed, (rank, targets) in enumerate(kinds)
    ]


def runner(
    model: Model,
    adapters: Sequence[Adapter] = (),
    threads: int = 2,
    kernels: str | None = None,
    kv_bits: int = 16,
) -> NativeRunner:
    native = NativeRunner(
        model, threads=threads, kv_slots=1_024, max_positions=512, kernels=kernels, kv_bits=kv_bits
    )
    native.set_adapters([native.lay_out(adapter) for adapter in adapters])
    return native


def rows() -> list[Row]:
    """Rows of all kinds: of the base model, with an adapter, with one that applies from a position on."""
    random = np.random.default_rng(1)
    return [
        Row(
            random.integers(3, 260, length).astype(np.int32),
            np.arange(SPACING * index, SPACING * index + length, dtype=np.int32),
            adapter,
            adapter_from,
            wanted=length,
        )
        for index, (length, adapter, adapter_from) in enumerate(
            zip(LENGTHS, ADAPTERS, ADAPTED_FROM, strict=True)
        )
    ]


def run(native: NativeRunner | OnnxRunner, batch: Sequence[Row]) -> list[Logits]:
    """Logits of each row."""
    ends = np.cumsum([row.wanted for row in batch])[:-1]
    return np.split(native.forward(RaggedBatch(batch)), ends)


def in_chunks(native: NativeRunner, row: Row, size: int) -> Logits:
    parts = []
    for start in range(0, len(row.tokens), size):
        tokens = row.tokens[start : start + size]
        slots = row.slots[: start + len(tokens)]
        part = replace(row, tokens=tokens, slots=slots, wanted=len(tokens))
        parts.append(native.forward(RaggedBatch([part])))
    return np.concatenate(parts)


def test_an_output_matrix_that_is_the_embedding_is_read_as_the_file_has_it(model: Model) -> None:
    vocab, hidden = model.embedding.shape
    decoder = _empty_decoder(model, 16, threads=1, kv_slots=16, kv_bits=16, kernels=None)
    decoder.set_head(model.final_norm, _pack(model.lm_head))
    embedded = np.empty((vocab, hidden), np.float32)
    decoder.embed(np.arange(vocab, dtype=np.int32), embedded)
    assert model.tied
    assert np.array_equal(embedded, model.embedding.floats())
    with pytest.raises(ValueError, match="no such token"):
        decoder.embed(np.array([vocab], np.int32), embedded[:1])


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", [Type.Q4_1, Type.Q4_0, Type.Q8_0])
def test_agrees_with_onnx_runtime(tmp_path: Path, kernels: str, kind: Type) -> None:
    model = open_model(write_tiny_model(tmp_path / "model.gguf", kind=kind))
    reference = OnnxRunner(model, threads=1, kv_slots=1_024, max_positions=128)
    base = [replace(row, adapter=BASE) for row in rows()]
    for own, other in zip(run(runner(model, kernels=kernels), base), run(reference, base), strict=True):
        np.testing.assert_allclose(own, other, atol=ROUNDING)


@pytest.mark.parametrize("kernels", KERNELS)
def test_adapters_agree_with_onnx_runtime(model: Model, adapters: list[Adapter], kernels: str) -> None:
    reference = OnnxRunner(model, threads=1, kv_slots=1_024, max_positions=128)
    reference.set_adapters(adapters)
    ours = run(runner(model, adapters, kernels=kernels), rows())
    for own, other in zip(ours, run(reference, rows()), strict=True):
        np.testing.assert_allclose(own, other, atol=ROUNDING)


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_row_is_the_same_alone_and_in_any_batch(
    model: Model, adapters: list[Adapter], kernels: str
) -> None:
    batch = rows()
    together = run(runner(model, adapters, kernels=kernels), batch)
    backwards = run(runner(model, adapters, kernels=kernels), batch[::-1])[::-1]
    alone = runner(model, adapters, threads=1, kernels=kernels)
    for row, own, other in zip(batch, together, backwards, strict=True):
        np.testing.assert_array_equal(own, other)
        np.testing.assert_array_equal(own, alone.forward(RaggedBatch([row])))


@pytest.mark.parametrize("size", [1, 7, 16, 33])
def test_a_row_is_the_same_after_any_chunking(model: Model, adapters: list[Adapter], size: int) -> None:
    batch = rows()
    native = runner(model, adapters)
    for row, whole in zip(batch, run(native, batch), strict=True):
        np.testing.assert_array_equal(whole, in_chunks(native, row, size))


@pytest.mark.parametrize("kv_bits", [16, 8])
@pytest.mark.parametrize("size", [1, 40, 300])
def test_attention_over_several_stretches_is_the_same(model: Model, size: int, kv_bits: int) -> None:
    """A few tokens have their stretches of 128 positions shared out among threads, many do not."""
    tokens = np.random.default_rng(2).integers(3, 260, 300).astype(np.int32)
    row = Row(tokens, np.arange(300, dtype=np.int32), wanted=300)
    whole = runner(model, threads=1, kv_bits=kv_bits).forward(RaggedBatch([row]))
    chunked = in_chunks(runner(model, threads=4, kv_bits=kv_bits), row, size)
    np.testing.assert_array_equal(whole, chunked)


@pytest.mark.parametrize("kernels", KERNELS)
def test_eight_bit_keys_and_values_change_little(model: Model, adapters: list[Adapter], kernels: str) -> None:
    eight = run(runner(model, adapters, kernels=kernels, kv_bits=8), rows())
    for own, other in zip(eight, run(runner(model, adapters, kernels=kernels), rows()), strict=True):
        np.testing.assert_allclose(own, other, atol=0.1)
        assert not np.array_equal(own[1:], other[1:]) or len(own) == 1


def test_only_sixteen_or_eight_bits(model: Model) -> None:
    with pytest.raises(ModelError, match="4 bits is none of 16 and 8"):
        runner(model, kv_bits=4)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_threads_change_nothing(model: Model, adapters: list[Adapter], threads: int) -> None:
    one = run(runner(model, adapters, threads=1), rows())
    for own, other in zip(run(runner(model, adapters, threads=threads), rows()), one, strict=True):
        np.testing.assert_array_equal(own, other)


def test_many_passes_on_many_threads_stay_the_same(model: Model, adapters: list[Adapter]) -> None:
    native = runner(model, adapters, threads=4)
    first = native.forward(RaggedBatch(rows()))
    for _ in range(200):
        np.testing.assert_array_equal(native.forward(RaggedBatch(rows())), first)


def test_only_allowed_tokens_have_logits(model: Model) -> None:
    native = runner(model)
    free = rows()[0]
    words = np.zeros(-(-native.vocab // 32), np.int32)
    words[[0, 2, -1]] = 0x00F0_0001, -1, 1
    allowed = unpack_mask(words, native.vocab)
    all_logits = native.forward(RaggedBatch([free]))
    some, others = run(native, [replace(free, allowed=words), rows()[5]])
    np.testing.assert_array_equal(some[:, allowed], all_logits[:, allowed])
    assert np.isneginf(some[:, ~allowed]).all()
    assert np.isfinite(others).all()


def test_an_adapter_applies_from_its_position_on(model: Model, adapters: list[Adapter]) -> None:
    native = runner(model, adapters)
    plain = rows()[2]
    base = native.forward(RaggedBatch([replace(plain, adapter=BASE)]))
    adapted = native.forward(RaggedBatch([replace(plain, adapter_from=30)]))
    np.testing.assert_array_equal(adapted[:30], base[:30])
    assert (np.abs(adapted[30:] - base[30:]).max(-1) > 0.01).all()
    native.forward(RaggedBatch([replace(plain, adapter=BASE)]))  # whoever wrote the context: it is the same
    after = replace(plain, tokens=plain.tokens[30:], adapter_from=30, wanted=7)
    np.testing.assert_array_equal(native.forward(RaggedBatch([after])), adapted[30:])


def test_rows_may_share_the_slots_of_a_prefix(model: Model) -> None:
    native = runner(model)
    row = replace(rows()[2], adapter=BASE)
    whole = native.forward(RaggedBatch([row]))
    fork = np.concatenate([row.slots[:30], np.arange(900, 907, dtype=np.int32)])
    forked = native.forward(RaggedBatch([Row(row.tokens[30:], fork, wanted=7)]))
    np.testing.assert_array_equal(forked, whole[30:])


def test_a_swap_replaces_what_was_resident(model: Model, adapters: list[Adapter]) -> None:
    native = runner(model, adapters)
    row = replace(rows()[0], adapter=1)
    before = native.forward(RaggedBatch([row]))
    native.set_adapters([None, native.lay_out(adapters[2]), native.lay_out(adapters[1])])
    other = native.forward(RaggedBatch([row]))
    moved = native.forward(RaggedBatch([replace(row, adapter=2)]))
    np.testing.assert_array_equal(moved, before)
    assert not np.array_equal(other, before)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"slots": np.arange(1_010, 1_030, dtype=np.int32)}, "slot 1024"),
        ({"slots": np.arange(-1, 19, dtype=np.int32)}, "slot -1"),
        ({"slots": np.arange(600, dtype=np.int32)}, "at most 512"),
        ({"slots": np.arange(3, dtype=np.int32)}, "slots for its tokens"),
        ({"wanted": 21}, "wanted after more"),
        ({"adapter": 7}, "no such adapter"),
        ({"allowed": np.zeros(1, np.int32)}, "a bit for each"),
    ],
)
def test_a_batch_that_breaks_a_rule_is_refused(model: Model, change: dict[str, object], reason: str) -> None:
    native = runner(model)
    with pytest.raises(ModelError, match=reason):
        native.forward(RaggedBatch([replace(rows()[0], **change)]))  # type: ignore[arg-type]
    assert np.isfinite(native.forward(RaggedBatch(rows()[5:]))).all()


def test_a_pass_needs_all_layers_and_the_head(model: Model) -> None:
    decoder = _empty_decoder(model, 64, threads=1, kv_slots=64, kv_bits=16, kernels=None)
    params, own = model.params, model.layers[0]
    hidden, logits = np.zeros((1, params.hidden), np.float32), np.zeros((1, params.vocab), np.float32)
    row = (1, np.arange(1, dtype=np.int32), BASE, 0, 1, None)

    def forward() -> None:
        decoder.forward(hidden, [row], logits)

    for index in range(params.layers):
        linear = [_pack(own.linear[projection]) for projection in PROJECTIONS]
        decoder.set_layer(index, own.attn_norm, own.ffn_norm, linear, None, None, None)
        with pytest.raises(ValueError, match="all layers and the head must be set"):
            forward()
    decoder.set_head(model.final_norm, _pack(model.lm_head))
    forward()


def test_a_matrix_is_of_one_layer(model: Model) -> None:
    decoder = _empty_decoder(model, 64, threads=1, kv_slots=64, kv_bits=16, kernels=None)
    own = model.layers[0]
    norms = own.attn_norm, own.ffn_norm
    linear = [_pack(own.linear[projection]) for projection in PROJECTIONS]
    decoder.set_layer(0, *norms, linear, None, None, None)
    missing = [None, *linear[1:]]
    for unusable in (linear, missing):
        with pytest.raises(ValueError, match="missing, already in use"):
            decoder.set_layer(1, *norms, unusable, None, None, None)  # type: ignore[arg-type]
    head = _pack(model.lm_head)
    decoder.set_head(model.final_norm, head)
    with pytest.raises(ValueError, match="already in use"):
        decoder.set_head(model.final_norm, head)


def test_an_adapter_of_another_shape_is_refused(
    model: Model, adapters: list[Adapter], tmp_path: Path
) -> None:
    native = runner(model)
    deeper = runner(open_model(write_tiny_model(tmp_path / "deeper.gguf", layers=3)))
    own, foreign = native.lay_out(adapters[0]), deeper.lay_out(adapters[0])
    with pytest.raises(ValueError, match="of another shape"):
        native.set_adapters([own, foreign])
    native.set_adapters([own, None])


def test_an_idle_runner_sleeps(model: Model) -> None:
    native = runner(model, threads=4)
    native.forward(RaggedBatch(rows()[:1]))
    time.sleep(0.1)
    before = time.process_time()
    time.sleep(1)
    assert time.process_time() - before < 0.02


def test_unknown_kernels_are_refused(model: Model) -> None:
    with pytest.raises(ModelError, match="no kernels named mmx"):
        runner(model, kernels="mmx")


def test_too_little_memory_names_the_setting(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(native_runner, "_decoder", full)
    with pytest.raises(ModelError, match=r"KV cache of 1,024 tokens; lower engine\.kv_tokens"):
        runner(model)


def test_auto_takes_the_native_runner(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert runners.open_runner(model, EngineSettings(kv_tokens=512)).name == "native"
    assert f"runner: native ({KERNELS[0]} kernels)" in caplog.text


def test_auto_says_why_it_takes_onnx_runtime(
    model: Model, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(runners, "UNAVAILABLE", "not built")
    assert runners.open_runner(model, EngineSettings(kv_tokens=512)).name == "onnx"
    assert "runner: onnx (the native one is missing: not built)" in caplog.text


def test_eight_bits_need_the_native_runner(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    eight = EngineSettings(kv_tokens=512, kv_bits=8)
    assert runners.open_runner(model, eight).name == "native"
    with pytest.raises(ModelError, match=r"kv_bits to 16, or .* \(engine.runner says so\)"):
        runners.open_runner(model, eight.model_copy(update={"runner": "onnx"}))
    monkeypatch.setattr(runners, "UNAVAILABLE", "not built")
    with pytest.raises(ModelError, match=r"kv_bits to 16, or .* missing: not built\)"):
        runners.open_runner(model, eight)


def test_sizes_that_the_kernels_cannot_handle_are_refused(model: Model) -> None:
    odd = replace(model, params=replace(model.params, head_dim=20))
    with pytest.raises(ModelError, match="head size 20 must be a multiple of 16"):
        runner(odd)
