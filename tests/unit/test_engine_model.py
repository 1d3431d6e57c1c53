"""Base models: what the file says is what is served; what can't be served is refused with a reason."""

import os
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from tiny_model import write_tiny_model
from townsfolk.engine.gguf_file import read_gguf
from townsfolk.engine.hyperparameters import read_hyperparameters
from townsfolk.engine.model import open_model, rope_tables
from townsfolk.engine.native_runner import UNAVAILABLE, NativeRunner
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.quantize import Int4Weight, Part, Weight, unpack
from townsfolk.engine.runner import RaggedBatch, Row
from townsfolk.errors import ModelError


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


def test_header_agrees_with_the_gguf_package(tiny: Path) -> None:
    file = read_gguf(tiny)
    metadata, tensors = file.metadata, file.tensors
    reader = gguf.GGUFReader(tiny)
    for name, field in reader.fields.items():
        if not name.startswith("GGUF."):
            assert np.array_equal(metadata[name], field.contents()), name
    for tensor in reader.tensors:
        own = tensors[tensor.name]
        assert own.kind == tensor.tensor_type
        np.testing.assert_array_equal(own.floats().ravel(), gguf.dequantize(tensor.data, own.kind).ravel())


def test_sizes_come_from_the_file(tmp_path: Path) -> None:
    params = open_model(write_tiny_model(tmp_path / "three.gguf", layers=3)).params
    assert (params.layers, params.hidden, params.ffn, params.heads, params.kv_heads) == (3, 64, 96, 4, 2)
    assert (params.head_dim, params.context, params.rope_base) == (16, 256, 10_000)


@pytest.mark.parametrize("kind", [Type.Q4_0, Type.Q4_1])
def test_4_bit_weights_are_kept_without_loss(tmp_path: Path, kind: Type) -> None:
    file = read_gguf(write_tiny_model(tmp_path / "model.gguf", kind=kind))
    tensor = file.tensors["blk.0.ffn_down.weight"]
    weight = unpack(Weight((Part(tensor),)))
    assert isinstance(weight, Int4Weight)
    q = np.stack([weight.packed & 15, weight.packed >> 4], axis=-1).reshape(*weight.scales.shape, 32)
    values = weight.scales[..., None] * (q.astype(np.float32) - 8)
    if weight.offsets is not None:
        values += weight.offsets[..., None]
    np.testing.assert_allclose(values.reshape(tensor.shape), tensor.floats(), atol=1e-6)


@pytest.mark.parametrize("kind", [Type.F32, Type.F16, Type.BF16, Type.Q8_0])
def test_other_types_become_float32(tmp_path: Path, kind: Type) -> None:
    weight = unpack(open_model(write_tiny_model(tmp_path / "model.gguf", kind=kind)).layers[0].linear["down"])
    assert isinstance(weight, np.ndarray)
    assert weight.shape == (64, 96)
    assert weight.dtype == np.float32


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        open_model(tmp_path / "missing.gguf")


def test_another_architecture(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'phi3'; only llama, qwen2, qwen3"):
        open_model(write_tiny_model(tmp_path / "model.gguf", architecture="phi3"))


def test_a_tensor_that_no_llama_has(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"attn_q\.bias"):
        open_model(write_tiny_model(tmp_path / "model.gguf", extra=["blk.0.attn_q.bias"]))


@pytest.mark.parametrize("size", [0, 3, 20, 500, 5_000, 60_000])
def test_truncated(tiny: Path, tmp_path: Path, size: int) -> None:
    part = tmp_path / "part.gguf"
    part.write_bytes(tiny.read_bytes()[:size])
    with pytest.raises(ModelError, match="not a whole"):
        open_model(part)


def test_damaged_anywhere_in_the_header_never_crashes(tiny: Path, tmp_path: Path) -> None:
    data, random = tiny.read_bytes(), np.random.default_rng(0)
    broken = tmp_path / "broken.gguf"
    for place in random.integers(0, 400, 60):
        broken.write_bytes(data[:place] + b"\xff" * 4 + data[place + 4 :])
        try:
            open_model(broken)
        except ModelError:
            continue


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"llama.rope.scaling.type": "yarn"}, "rope scaling 'yarn'; only 'none', 'linear'"),
        ({"llama.rope.scaling.type": "linear"}, "rope.scaling.factor is missing"),
        ({"llama.rope.scaling.type": np.array([1, 2])}, "rope.scaling.type is .* must be a text"),
        ({"llama.rope.scaling.factor": "4"}, "rope.scaling.factor is '4', must be a number"),
        ({"llama.expert_count": 8}, "mixture of experts"),
        ({"llama.expert_count": np.array([0, 8])}, "expert_count is .* must be a whole number from 0"),
        ({"llama.attention.sliding_window": "64"}, "sliding_window is '64', must be a whole number from 0"),
        ({"llama.rope.dimension_count": np.array([16, 16])}, "dimension_count is .* must be a whole number"),
        ({"llama.attention.sliding_window": 64}, "the last 64 tokens only"),
        ({"llama.rope.dimension_count": 8}, "rope.dimension_count is 8, must be the head size 16"),
        ({"llama.attention.value_length": 8}, "value_length is 8, must be the head size 16"),
        ({"llama.attention.head_count": np.array([4, 4])}, "must be a whole number"),
        ({"llama.attention.head_count": 0}, "head_count is 0"),
        ({"llama.attention.head_count_kv": 3}, "can't share 3 key-value heads"),
        ({"llama.block_count": 2**40}, "block_count is 1099511627776"),
        ({"llama.rope.freq_base": float("nan")}, "freq_base is nan"),
        ({"tokenizer.ggml.tokens": "none"}, "tokens is missing"),
    ],
)
def test_what_would_be_served_wrongly_is_refused(tiny: Path, change: dict[str, object], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        read_hyperparameters(read_gguf(tiny).metadata | change)


def test_linear_scaling_and_a_head_size_of_its_own(tiny: Path) -> None:
    change = {
        "llama.rope.scaling.type": "linear",
        "llama.rope.scaling.factor": 4.0,
        "llama.attention.key_length": 32,
    }
    params = read_hyperparameters(read_gguf(tiny).metadata | change)
    assert (params.head_dim, params.hidden // params.heads) == (32, 16)
    plain = rope_tables(replace(params, rope_scale=1.0), None, 9)
    np.testing.assert_allclose(rope_tables(params, None, 33)[0][::4], plain[0], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "scale"),
    [
        ({"llama.rope.scaling.factor": 4.0}, 4.0),
        ({"llama.rope.scale_linear": 2.0}, 2.0),
        ({"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0}, 1.0),
        ({}, 1.0),
    ],
)
def test_a_factor_without_a_type_is_linear(tiny: Path, change: dict[str, object], scale: float) -> None:
    assert read_hyperparameters(read_gguf(tiny).metadata | change).rope_scale == scale


def spoil(path: Path, tensor: str, no_number: bytes) -> None:
    first = read_gguf(path).tensors[tensor].data[0, :16].tobytes()
    path.write_bytes(path.read_bytes().replace(first, no_number + first[len(no_number) :]))


@pytest.mark.parametrize("kind", [Type.F32, Type.Q4_1])
@pytest.mark.parametrize("runner", [NativeRunner, OnnxRunner])
def test_a_weight_that_is_no_number_is_refused(
    tmp_path: Path, kind: Type, runner: type[NativeRunner | OnnxRunner]
) -> None:
    if runner is NativeRunner and UNAVAILABLE:
        pytest.skip(UNAVAILABLE)
    path = write_tiny_model(tmp_path / "model.gguf", kind=kind)
    no_number = np.float32("nan").tobytes() if kind == Type.F32 else np.float16("nan").tobytes()
    spoil(path, "blk.0.attn_output.weight", no_number)
    with pytest.raises(ModelError, match="no number"):
        runner(open_model(path), threads=1, kv_slots=8, max_positions=8)


def test_an_embedding_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "model.gguf")
    spoil(path, "token_embd.weight", np.float16("inf").tobytes())
    with pytest.raises(ModelError, match=r"token_embd\.weight holds what is no number"):
        open_model(path)


@pytest.mark.skipif(bool(UNAVAILABLE), reason=UNAVAILABLE)
def test_the_file_may_go_once_the_runner_is_ready(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "model.gguf")
    runner = NativeRunner(open_model(path), threads=1, kv_slots=8, max_positions=8)
    batch = RaggedBatch([Row(np.array([5, 6], np.int32), np.arange(2, dtype=np.int32))])
    before = runner.forward(batch)
    os.truncate(path, 0)
    np.testing.assert_array_equal(runner.forward(batch), before)


@pytest.mark.skipif(bool(UNAVAILABLE), reason=UNAVAILABLE)
def test_another_file_of_its_name_changes_nothing(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "model.gguf")
    batch = RaggedBatch([Row(np.array([5, 6], np.int32), np.arange(2, dtype=np.int32))])
    first = NativeRunner(open_model(path), threads=1, kv_slots=8, max_positions=8).forward(batch)
    model = open_model(path)
    write_tiny_model(tmp_path / "other.gguf", seed=1).replace(path)
    second = NativeRunner(model, threads=1, kv_slots=8, max_positions=8).forward(batch)
    np.testing.assert_array_equal(second, first)
