"""Base models: what the file says is what is served; what can't be served is refused with a reason."""

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from tiny_model import write_tiny_model
from townsfolk.engine.gguf_file import read_gguf
from townsfolk.engine.model import open_model
from townsfolk.engine.quantize import Int4Weight, Part, Weight, unpack
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
