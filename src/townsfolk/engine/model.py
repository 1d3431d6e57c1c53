"""A GGUF file of the llama family -> hyperparameters and weights, checked.

Every size comes from the file's metadata. It refuses to know how the weights are multiplied (`graph`,
the runners) and what the tokens mean (`tokenizer`).
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from townsfolk.engine.gguf_file import RawTensor, read_gguf
from townsfolk.engine.quantize import READABLE, Floats, Weight, linear_weight
from townsfolk.errors import ModelError

PROJECTIONS = ("qkv", "o", "gate_up", "down")
"""The linear layers of a decoder block, those with the same input stacked into one."""


@dataclass(frozen=True)
class Hyperparameters:
    """Sizes of a llama model, by the names that papers use."""

    vocab: int
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int  # positions it was trained for
    rope_base: float
    norm_eps: float

    def targets(self) -> dict[str, tuple[str, int, int]]:
        """PEFT's module name -> (projection it is part of, first output row there, output rows)."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": ("qkv", 0, q),
            "k_proj": ("qkv", q, kv),
            "v_proj": ("qkv", q + kv, kv),
            "o_proj": ("o", 0, self.hidden),
            "gate_proj": ("gate_up", 0, self.ffn),
            "up_proj": ("gate_up", self.ffn, self.ffn),
            "down_proj": ("down", 0, self.hidden),
        }

    def shape(self, projection: str) -> tuple[int, int]:
        """(out, in) of a projection."""
        out = {"qkv": (self.heads + 2 * self.kv_heads) * self.head_dim, "gate_up": 2 * self.ffn}
        width = {"o": self.heads * self.head_dim, "down": self.ffn}
        return out.get(projection, self.hidden), width.get(projection, self.hidden)


@dataclass(frozen=True)
class Layer:
    """Weights of one decoder block; q and k in the rotate-half layout that PEFT adapters are trained on."""

    attn_norm: Floats  # [hidden]
    ffn_norm: Floats  # [hidden]
    linear: dict[str, Weight]  # by projection


@dataclass(frozen=True)
class Model:
    """A base model that can be served: copies only, so the file may be replaced while it is in use."""

    base_hash: str
    params: Hyperparameters
    embed: Callable[[npt.NDArray[np.integer]], Floats]
    """Token ids [n] -> hidden states [n, hidden]; the embedding stays in the file's own type."""
    layers: tuple[Layer, ...]
    final_norm: Floats  # [hidden]
    lm_head: Weight  # [vocab, hidden]
    rope_factors: Floats | None  # [head_dim/2], divide the frequencies (Llama 3.1)
    metadata: dict[str, Any]


def open_model(path: Path) -> Model:
    """Read, check and repack the base model at `path`.

    Raises:
        ModelError: not there, not a whole GGUF, another architecture, or tensors that don't fit.
    """
    metadata, tensors = read_gguf(path)
    params = _hyperparameters(path, metadata)
    source = _Tensors(path, tensors)
    head = "output.weight" if "output.weight" in tensors else "token_embd.weight"
    shape = (params.vocab, params.hidden)
    embedding = source.take("token_embd.weight", shape).rows(np.arange(params.vocab))
    model = Model(
        base_hash=sha256(path),
        params=params,
        embed=lambda tokens: embedding.rows(tokens).floats(),
        layers=tuple(_layer(source, params, index) for index in range(params.layers)),
        final_norm=source.take("output_norm.weight", (params.hidden,)).floats(),
        lm_head=linear_weight([source.take(head, shape)]),
        rope_factors=_rope_factors(source, params),
        metadata=metadata,
    )
    source.refuse_unused()
    return model


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rope_tables(params: Hyperparameters, factors: Floats | None, positions: int) -> tuple[Floats, Floats]:
    """Cosines and sines that turn queries and keys, [positions, head_dim/2] each."""
    half = params.head_dim // 2
    frequencies = params.rope_base ** (-np.arange(half) / half) / (1 if factors is None else factors)
    angles = np.arange(positions)[:, None] * frequencies
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _hyperparameters(path: Path, metadata: dict[str, Any]) -> Hyperparameters:
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise ModelError(f"base model {path}: architecture {architecture!r}; only 'llama' can be served")
    if metadata.get("llama.expert_count", 0):
        raise ModelError(f"base model {path}: a mixture of experts; only dense models can be served")
    scaling = metadata.get("llama.rope.scaling.type", "none")
    if scaling != "none":
        raise ModelError(f"base model {path}: rope scaling {scaling!r}; only unscaled models can be served")
    try:
        return _sizes(metadata)
    except KeyError as error:
        raise ModelError(
            f"base model {path}: metadata {error} is missing; convert the model again"
        ) from error


def _sizes(metadata: dict[str, Any]) -> Hyperparameters:
    heads = int(metadata["llama.attention.head_count"])
    hidden = int(metadata["llama.embedding_length"])
    return Hyperparameters(
        vocab=len(metadata["tokenizer.ggml.tokens"]),
        layers=int(metadata["llama.block_count"]),
        hidden=hidden,
        ffn=int(metadata["llama.feed_forward_length"]),
        heads=heads,
        kv_heads=int(metadata.get("llama.attention.head_count_kv", heads)),
        head_dim=int(metadata.get("llama.attention.key_length", hidden // heads)),
        context=int(metadata["llama.context_length"]),
        rope_base=float(metadata.get("llama.rope.freq_base", 10_000.0)),
        norm_eps=float(metadata["llama.attention.layer_norm_rms_epsilon"]),
    )


class _Tensors:
    """The file's tensors, each checked when taken."""

    def __init__(self, path: Path, tensors: dict[str, RawTensor]) -> None:
        self._path, self._tensors, self._taken = path, tensors, set[str]()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, shape: tuple[int, ...]) -> RawTensor:
        """The tensor `name`, which must have the shape `shape` and a type that can be read."""
        tensor = self._tensors.get(name)
        if tensor is None:
            raise ModelError(f"base model {self._path}: tensor {name} is missing; convert the model again")
        if tensor.shape != shape:
            raise ModelError(f"base model {self._path}: tensor {name} is {tensor.shape}, must be {shape}")
        if tensor.kind not in READABLE:
            known = ", ".join(kind.name for kind in READABLE)
            raise ModelError(
                f"base model {self._path}: tensor {name} is {tensor.kind.name}; use one of {known}"
            )
        self._taken.add(name)
        return tensor

    def refuse_unused(self) -> None:
        """A tensor that we would ignore (a bias, say) means answers that are silently wrong."""
        unused = sorted(set(self._tensors) - self._taken)
        if unused:
            raise ModelError(f"base model {self._path}: tensor {unused[0]} belongs to no plain llama model")


def _layer(source: _Tensors, params: Hyperparameters, index: int) -> Layer:
    prefix = f"blk.{index}."
    return Layer(
        attn_norm=source.take(f"{prefix}attn_norm.weight", (params.hidden,)).floats(),
        ffn_norm=source.take(f"{prefix}ffn_norm.weight", (params.hidden,)).floats(),
        linear={name: linear_weight(list(_parts(source, params, prefix, name))) for name in PROJECTIONS},
    )


def _parts(source: _Tensors, params: Hyperparameters, prefix: str, projection: str) -> Iterator[RawTensor]:
    names = {
        "q_proj": "attn_q",
        "k_proj": "attn_k",
        "v_proj": "attn_v",
        "o_proj": "attn_output",
        "gate_proj": "ffn_gate",
        "up_proj": "ffn_up",
        "down_proj": "ffn_down",
    }
    for target, (owner, _, rows) in params.targets().items():
        if owner == projection:
            tensor = source.take(f"{prefix}{names[target]}.weight", (rows, params.shape(projection)[1]))
            yield (
                tensor.rows(_rotate_half(rows, params.head_dim)) if target in ("q_proj", "k_proj") else tensor
            )


def _rotate_half(rows: int, head_dim: int) -> npt.NDArray[np.integer]:
    """Undo GGUF's order of q and k: pairs (2i, 2i+1) of a head go back to (i, i + head_dim/2)."""
    order = np.arange(rows).reshape(-1, head_dim // 2, 2).swapaxes(1, 2)
    return order.reshape(-1)


def _rope_factors(source: _Tensors, params: Hyperparameters) -> Floats | None:
    name = "rope_freqs.weight"
    return source.take(name, (params.head_dim // 2,)).floats() if name in source else None
