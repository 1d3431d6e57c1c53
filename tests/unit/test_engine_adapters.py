"""Adapters: what is fine is read, what is not is refused with its reason."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tiny_model import write_random_adapter
from townsfolk.engine.adapters import CONFIG_FILE, WEIGHTS_FILE, Adapter, read_adapter
from townsfolk.engine.hyperparameters import Family, Hyperparameters
from townsfolk.errors import AdapterError

PARAMS = Hyperparameters(Family(), 269, 2, 64, 96, 4, 2, 16, 256, 10_000.0, 1.0, 1e-5)
BASE = "b" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_random_adapter(tmp_path / "allowed" / "adapter", PARAMS, BASE, rank=4)


def read(folder: Path) -> Adapter:
    return read_adapter(folder, [folder.parent], PARAMS, BASE)


def change_tensors(folder: Path, **changes: Any) -> None:
    """Replace the first tensor (`value`), or add one (`name`)."""
    tensors = load_file(folder / WEIGHTS_FILE)
    tensors[changes.get("name", next(iter(tensors)))] = changes["value"]
    save_file(tensors, folder / WEIGHTS_FILE)


def test_a_good_one_is_read(folder: Path) -> None:
    adapter = read(folder)
    assert (adapter.rank, adapter.scaling) == (4, 2.0)
    assert len(adapter.factors) == PARAMS.layers * 4
    a, b = adapter.factors[1, "k_proj"]
    assert (a.shape, b.shape) == ((4, 64), (32, 4))
    assert a.dtype == np.float16


def test_invocation_tokens_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    write_random_adapter(folder, PARAMS, BASE, alora_invocation_tokens=[1, 2, 3])
    assert read(folder).invocation == (1, 2, 3)
    write_random_adapter(folder, PARAMS, BASE, alora_invocation_tokens=None)
    assert read(folder).invocation == ()


def test_hash_follows_the_content_not_the_layout(folder: Path) -> None:
    before = read(folder).content_hash
    config = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps(dict(reversed(config.items())), indent=4))
    assert read(folder).content_hash == before
    (folder / CONFIG_FILE).write_text(json.dumps(config | {"lora_alpha": 1}))
    assert read(folder).content_hash != before


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_other_precisions_become_16_bit(folder: Path, dtype: type) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    save_file({name: values.astype(dtype) for name, values in tensors.items()}, folder / WEIGHTS_FILE)
    assert read(folder).factors[0, "q_proj"][0].dtype == np.float16


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"base_model_name_or_path": "test@sha256:" + "c" * 64}, "base_model_name_or_path"),
        ({"base_model_name_or_path": None}, "base_model_name_or_path"),
        ({"peft_type": "IA3"}, "peft_type"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
        ({"bias": "all"}, "bias"),
        ({"r": 5}, "must be"),
        ({"r": "8"}, "whole number"),
        ({"r": 10_000}, "whole number"),
        ({"lora_alpha": float("nan")}, "finite"),
        ({"lora_alpha": 1e300}, "finite number, at most 4,000 with r 4"),
        ({"lora_alpha": -4001}, "at most 4,000"),
        ({"lora_alpha": 10**400}, "at most 4,000"),
        ({"lora_alpha": 2001, "use_rslora": True}, "at most 2,000"),
        ({"alora_invocation_tokens": []}, "1 to 64"),
        ({"alora_invocation_tokens": [1, 269]}, "0 to 268"),
        ({"alora_invocation_tokens": [1, True]}, "ids"),
        ({"alora_invocation_tokens": [1] * 65}, "1 to 64"),
        ({"alora_invocation_tokens": "assistant"}, "list"),
    ],
)
def test_wrong_config(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    folder = tmp_path / "adapter"
    write_random_adapter(folder, PARAMS, BASE, rank=4)
    values = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps(values | config))
    with pytest.raises(AdapterError, match=reason):
        read(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_values_that_are_no_numbers_in_16_bit(folder: Path, value: float) -> None:
    change_tensors(folder, value=np.full((4, 64), value, np.float32))
    with pytest.raises(AdapterError, match="NaN"):
        read(folder)


def test_wrong_shape(folder: Path) -> None:
    change_tensors(folder, value=np.zeros((4, 65), np.float16))
    with pytest.raises(AdapterError, match=r"\(4, 65\), must be"):
        read(folder)


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.x_proj.lora_A.weight",
        "base_model.model.lm_head.lora_A.weight",
    ],
)
def test_target_that_the_base_has_not(folder: Path, name: str) -> None:
    change_tensors(folder, name=name, value=np.zeros((4, 64), np.float16))
    with pytest.raises(AdapterError, match="fits nothing"):
        read(folder)


def test_half_a_pair(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, folder / WEIGHTS_FILE)
    with pytest.raises(AdapterError, match="only one of"):
        read(folder)


@pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.pt", "x.PKL"])
def test_pickles_are_refused_unopened(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    with pytest.raises(AdapterError, match="pickle"):
        read(folder)


@pytest.mark.parametrize("size", [0, 7, 100])
def test_truncated_weights(folder: Path, size: int) -> None:
    data = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(data[:size])
    with pytest.raises(AdapterError, match=WEIGHTS_FILE):
        read(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff", "[" * 50_000])
def test_bad_json(folder: Path, text: str) -> None:
    (folder / CONFIG_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(AdapterError, match=CONFIG_FILE):
        read(folder)


def test_oversize_is_refused_before_parsing(folder: Path) -> None:
    (folder / CONFIG_FILE).write_text(" " * 200_000)
    with pytest.raises(AdapterError, match="100,000 bytes"):
        read(folder)


def test_missing_and_outside(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="no such"):
        read_adapter(folder / "missing", [folder.parent], PARAMS, BASE)
    with pytest.raises(AdapterError, match="outside"):
        read_adapter(folder, [tmp_path / "other"], PARAMS, BASE)
    with pytest.raises(AdapterError, match="outside"):
        read_adapter(folder / ".." / "..", [folder.parent], PARAMS, BASE)


def test_links_that_lead_outside(folder: Path, tmp_path: Path) -> None:
    outside = write_random_adapter(tmp_path / "outside", PARAMS, BASE, rank=4)
    link = folder.parent / "link"
    link.symlink_to(outside)
    with pytest.raises(AdapterError, match="outside"):
        read(link)
    (folder / WEIGHTS_FILE).unlink()
    (folder / WEIGHTS_FILE).symlink_to(outside / WEIGHTS_FILE)
    with pytest.raises(AdapterError, match="outside"):
        read(folder)


def test_a_pipe_is_refused(folder: Path) -> None:
    (folder / WEIGHTS_FILE).unlink()
    os.mkfifo(folder / WEIGHTS_FILE)
    with pytest.raises(AdapterError, match="not a plain file"):
        read(folder)
