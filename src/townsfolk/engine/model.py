"""A GGUF file of a family that `hyperparameters` knows -> its weights, checked but not read yet.

It refuses to know how the weights are multiplied (`graph`, the runners) and what the tokens mean
(`tokenizer`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from townsfolk.engine.gguf_file import RawTensor, read_gguf
from townsfolk.engine.hyperparameters import Hyperparameters, read_hyperparameters
from townsfolk.engine.quantize import READABLE, Floats, Ints, Part, Weight
from townsfolk.errors import ModelError

STRETCH = 4_096
"""Rows of the embedding that are checked at once, so that the check needs little memory."""
PROJECTIONS = ("qkv", "o", "gate_up", "down")
"""The linear layers of a decoder block, those with the same input stacked into one."""


TENSORS = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
"""PEFT's name of a module -> GGUF's."""


@dataclass(frozen=True)
class Layer:
    """Weights of one decoder block; q and k in the rotate-half layout that PEFT adapters are trained on."""

    attn_norm: Floats  # [hidden]
    ffn_norm: Floats  # [hidden]
    linear: dict[str, Weight]  # by projection
    qkv_bias: Floats | None  # [(heads + 2 * kv_heads) * head_dim]
    query_norm: Floats | None  # [head_dim], of each head before it is turned
    key_norm: Floats | None  # [head_dim]


@dataclass(frozen=True)
class Model:
    """A base model that can be served. Large weights are in the file until a runner reads them, once.

    The file may be replaced by another of its name at any time, as downloads do; one that is cut short in
    place before the runner is ready takes the process with it.
    """

    base_hash: str
    params: Hyperparameters
    embedding: RawTensor  # [vocab, hidden]
    layers: tuple[Layer, ...]
    final_norm: Floats  # [hidden]
    lm_head: Weight  # [vocab, hidden]
    rope_factors: Floats | None  # [head_dim/2], divide the frequencies (Llama 3.1)
    metadata: dict[str, Any]

    @property
    def tied(self) -> bool:
        """Whether the output matrix is the embedding, too."""
        return self.lm_head.parts[0].tensor is self.embedding


def open_model(path: Path) -> Model:
    """Map and check the base model at `path`.

    Raises:
        ModelError: not there, not a whole GGUF, another architecture, or tensors that don't fit.
    """
    try:
        return _read_model(path)
    except ModelError as error:
        raise ModelError(f"base model {path}: {error}") from error


def rope_tables(params: Hyperparameters, factors: Floats | None, positions: int) -> tuple[Floats, Floats]:
    """Cosines and sines that turn queries and keys, [positions, head_dim/2] each."""
    half = params.head_dim // 2
    frequencies = params.rope_base ** (-np.arange(half) / half) / (1 if factors is None else factors)
    angles = np.arange(positions)[:, None] / params.rope_scale * frequencies
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _read_model(path: Path) -> Model:
    file = read_gguf(path)
    params = read_hyperparameters(file.metadata)
    source = _Tensors(file.tensors)
    head = "output.weight" if "output.weight" in file.tensors else "token_embd.weight"
    shape = (params.vocab, params.hidden)
    model = Model(
        base_hash=file.sha256,
        params=params,
        embedding=source.rows("token_embd.weight", shape),
        layers=tuple(_layer(source, params, f"blk.{index}.") for index in range(params.layers)),
        final_norm=source.vector("output_norm.weight", params.hidden),
        lm_head=Weight((Part(source.take(head, shape)),)),
        rope_factors=_rope_factors(source, params),
        metadata=file.metadata,
    )
    source.refuse_unused()
    return model


class _Tensors:
    """The file's tensors, each checked when taken."""

    def __init__(self, tensors: dict[str, RawTensor]) -> None:
        self._tensors, self._taken = tensors, set[str]()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, shape: tuple[int, ...]) -> RawTensor:
        """The tensor `name`, which must have the shape `shape` and a type that can be read."""
        tensor = self._tensors.get(name)
        if tensor is None:
            raise ModelError(f"tensor {name} is missing; convert the model again")
        if tensor.shape != shape:
            raise ModelError(f"tensor {name} is {tensor.shape}, must be {shape}")
        if tensor.kind not in READABLE:
            known = ", ".join(kind.name for kind in READABLE)
            raise ModelError(f"tensor {name} is {tensor.kind.name}; use one of {known}")
        self._taken.add(name)
        return tensor

    def vector(self, name: str, size: int) -> Floats:
        """A copy of the tensor `name`, [size]."""
        values = self.take(name, (size,)).floats()
        _refuse_no_numbers(name, values)
        return values

    def rows(self, name: str, shape: tuple[int, int]) -> RawTensor:
        """A tensor whose rows are read one by one, each of numbers; checked a stretch at a time."""
        tensor = self.take(name, shape)
        for first in range(0, shape[0], STRETCH):
            stretch = np.arange(first, min(first + STRETCH, shape[0]))
            _refuse_no_numbers(name, tensor.rows(stretch).floats())
        return tensor

    def refuse_unused(self) -> None:
        """A tensor that we would ignore (a bias, say) means answers that are silently wrong."""
        unused = sorted(set(self._tensors) - self._taken)
        if unused:
            raise ModelError(f"tensor {unused[0]:.60} is none that its family has; serve a plain model")


def _refuse_no_numbers(name: str, values: Floats) -> None:
    if not np.isfinite(values).all():
        raise ModelError(f"tensor {name} holds what is no number; fetch the model again")


def _layer(source: _Tensors, params: Hyperparameters, prefix: str) -> Layer:
    norms = params.family.qk_norm
    return Layer(
        attn_norm=source.vector(f"{prefix}attn_norm.weight", params.hidden),
        ffn_norm=source.vector(f"{prefix}ffn_norm.weight", params.hidden),
        linear={name: Weight(tuple(_parts(source, params, prefix, name))) for name in PROJECTIONS},
        qkv_bias=_qkv_bias(source, params, prefix) if params.family.qkv_bias else None,
        query_norm=source.vector(f"{prefix}attn_q_norm.weight", params.head_dim) if norms else None,
        key_norm=source.vector(f"{prefix}attn_k_norm.weight", params.head_dim) if norms else None,
    )


def _parts(source: _Tensors, params: Hyperparameters, prefix: str, projection: str) -> Iterator[Part]:
    for target, (owner, _, rows) in params.targets().items():
        if owner == projection:
            tensor = source.take(f"{prefix}{TENSORS[target]}.weight", (rows, params.shape(projection)[1]))
            turned = params.family.interleaved and target in ("q_proj", "k_proj")
            yield Part(tensor, _rotate_half(rows, params.head_dim) if turned else None)


def _qkv_bias(source: _Tensors, params: Hyperparameters, prefix: str) -> Floats:
    targets = [(TENSORS[name], rows) for name, (owner, _, rows) in params.targets().items() if owner == "qkv"]
    return np.concatenate([source.vector(f"{prefix}{name}.bias", rows) for name, rows in targets])


def _rotate_half(rows: int, head_dim: int) -> Ints:
    """Undo GGUF's order of q and k: pairs (2i, 2i+1) of a head go back to (i, i + head_dim/2)."""
    order = np.arange(rows, dtype=np.int32).reshape(-1, head_dim // 2, 2).swapaxes(1, 2)
    return order.reshape(-1)


def _rope_factors(source: _Tensors, params: Hyperparameters) -> Floats | None:
    name = "rope_freqs.weight"
    if name not in source:
        return None
    factors = source.vector(name, params.head_dim // 2)
    if not (factors > 0).all():
        raise ModelError(f"tensor {name} must be over 0; fetch the model again")
    return factors
