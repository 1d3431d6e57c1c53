"""The sizes of a base model and what sets its family apart, from the metadata of a GGUF file, checked.

What would change the arithmetic and is not known here is refused: answers must not be silently wrong.
"""

import math
from dataclasses import dataclass
from typing import Any

from townsfolk.errors import ModelError

MAX_SIZE = 2**24
"""Of any size in the metadata: far above all models. Products are Python's, which don't overflow, and every
tensor must have the shape they say, so that no runner is told of more weights than the file holds."""


@dataclass(frozen=True)
class Family:
    """A decoder with RMS norms, rotary embedding and gated MLP, and what else it has."""

    interleaved: bool = False  # its files have the pairs (i, i + head_dim/2) of q and k side by side
    qkv_bias: bool = False
    qk_norm: bool = False  # RMS norms of each head's queries and keys


FAMILIES = {
    "llama": Family(interleaved=True),
    "qwen2": Family(qkv_bias=True),
    "qwen3": Family(qk_norm=True),
}
"""By GGUF's `general.architecture`."""


@dataclass(frozen=True)
class Hyperparameters:
    """Sizes of a model, by the names that papers use."""

    family: Family
    vocab: int
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int  # positions it was trained for
    rope_base: float
    rope_scale: float  # divides positions; 1: none
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


def read_hyperparameters(metadata: dict[str, Any]) -> Hyperparameters:
    """The sizes that `metadata` tells.

    Raises:
        ModelError: another family, a variant that is not known here, or a size that is missing or can't be.
    """
    name = metadata.get("general.architecture")
    if not isinstance(name, str) or name not in FAMILIES:
        raise ModelError(f"architecture {name!r}; only {', '.join(FAMILIES)} can be served")
    fields = _Fields(metadata, name)
    _refuse_variants(fields)
    heads, hidden = fields.whole("attention.head_count"), fields.whole("embedding_length")
    params = Hyperparameters(
        family=FAMILIES[name],
        vocab=_vocabulary_size(metadata),
        layers=fields.whole("block_count"),
        hidden=hidden,
        ffn=fields.whole("feed_forward_length"),
        heads=heads,
        kv_heads=fields.whole("attention.head_count_kv", heads),
        head_dim=fields.whole("attention.key_length", max(1, hidden // heads)),
        context=fields.whole("context_length"),
        rope_base=fields.real("rope.freq_base", 10_000.0),
        rope_scale=_rope_scale(fields),
        norm_eps=fields.real("attention.layer_norm_rms_epsilon"),
    )
    _check_heads(fields, params)
    return params


class _Fields:
    """One architecture's metadata, each value checked when read."""

    def __init__(self, metadata: dict[str, Any], architecture: str) -> None:
        self._metadata, self._architecture = metadata, architecture

    def get(self, name: str, default: Any = None) -> Any:
        return self._metadata.get(f"{self._architecture}.{name}", default)

    def whole(self, name: str, default: int | None = None, least: int = 1) -> int:
        value = self.get(name, default)
        if type(value) is not int or not least <= value <= MAX_SIZE:
            raise self.wrong(name, value, f"a whole number from {least} to {MAX_SIZE:,}")
        return value

    def real(self, name: str, default: float | None = None) -> float:
        value = self.get(name, default)
        if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
            raise self.wrong(name, value, "a number over 0")
        return float(value)

    def text(self, name: str, default: str) -> str:
        value = self.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, value, "a text")
        return value

    def wrong(self, name: str, value: Any, rule: str) -> ModelError:
        told = "missing" if value is None else f"{value!r:.60}"
        return ModelError(f"{self._architecture}.{name} is {told}, must be {rule}; convert the model again")


def _refuse_variants(fields: _Fields) -> None:
    if fields.whole("expert_count", 0, least=0):
        raise ModelError("a mixture of experts; only dense models can be served")
    window = fields.whole("attention.sliding_window", 0, least=0)
    if window and window < fields.whole("context_length"):
        raise ModelError(f"attention over the last {window} tokens only; serve a model that attends to all")


def _rope_scale(fields: _Fields) -> float:
    """A factor without a type means linear, as in llama.cpp; Llama 3's come as a tensor instead."""
    names = ("rope.scaling.factor", "rope.scale_linear")  # the second is what older files call it
    factor = next((name for name in names if fields.get(name) is not None), None)
    kind = fields.text("rope.scaling.type", "linear" if factor else "none")
    if kind not in ("none", "linear"):
        raise ModelError(
            f"rope scaling {kind!r:.60}; only 'none', 'linear' and Llama 3's factors can be served"
        )
    if kind == "none":
        return 1.0
    return fields.real(factor or names[0])


def _vocabulary_size(metadata: dict[str, Any]) -> int:
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens:
        raise ModelError("tokenizer.ggml.tokens is missing; convert the model again")
    return len(tokens)


def _check_heads(fields: _Fields, params: Hyperparameters) -> None:
    if params.heads % params.kv_heads or params.head_dim % 2:
        raise ModelError(
            f"{params.heads} heads of size {params.head_dim} can't share {params.kv_heads} key-value heads "
            f"and be turned in pairs; convert the model again"
        )
    for name in ("attention.value_length", "rope.dimension_count"):
        size = fields.whole(name, params.head_dim)
        if size != params.head_dim:
            raise fields.wrong(name, size, f"the head size {params.head_dim}")
