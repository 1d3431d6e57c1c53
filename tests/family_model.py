"""Random models of every family as GGUF files, and the same in transformers."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from tiny_model import write_vocabulary
from townsfolk.engine.gguf_file import read_gguf

LAYERS, HIDDEN, FFN, HEADS, KV_HEADS, EPSILON, ROPE_BASE = 2, 256, 512, 8, 2, 1e-5, 10_000.0
HEAD_DIMS = {"llama": 32, "qwen2": 32, "qwen3": 64}
MODULES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
}
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
SUPER_BLOCKS = {Type.Q4_K: (144, 7.5, 300), Type.Q5_K: (176, 15.5, 600), Type.Q6_K: (210, 0, 1340)}
"""Bytes, minimum's scale over the scale, spread of the weights over the scale; `gguf` can't make them."""


def write_family_model(
    path: Path,
    architecture: str,
    *,
    kind: Type = Type.Q4_1,
    tied: bool = True,
    factors: bool = False,
    seed: int = 0,
) -> Path:
    """Write random weights, linear layers and head of type `kind`.

    Args:
        tied: the embedding is the output matrix too.
        factors: with Llama 3's factors of the rotary embedding.
    """
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    head_dim = HEAD_DIMS[architecture]
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(head_dim)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_freq_base(ROPE_BASE)
    vocab = len(write_vocabulary(writer))

    def add(name: str, *shape: int, kind: Type = Type.F32) -> None:
        data = random_blocks(random, shape, kind)
        writer.add_tensor(name, data, raw_dtype=kind)

    add("token_embd.weight", vocab, HIDDEN, kind=kind)
    add("output_norm.weight", HIDDEN)
    if not tied:
        add("output.weight", vocab, HIDDEN, kind=kind)
    if factors:
        writer.add_tensor("rope_freqs.weight", np.linspace(1, 8, head_dim // 2, dtype=np.float32))
    for layer in range(LAYERS):
        for name, shape in layer_shapes(architecture).items():
            add(f"blk.{layer}.{name}", *shape, kind=kind if len(shape) == 2 else Type.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def layer_shapes(architecture: str) -> dict[str, tuple[int, ...]]:
    """Tensors of a layer that the family has."""
    head_dim = HEAD_DIMS[architecture]
    q, kv = HEADS * head_dim, KV_HEADS * head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (HIDDEN,),
        "ffn_norm.weight": (HIDDEN,),
        "attn_q.weight": (q, HIDDEN),
        "attn_k.weight": (kv, HIDDEN),
        "attn_v.weight": (kv, HIDDEN),
        "attn_output.weight": (HIDDEN, q),
        "ffn_gate.weight": (FFN, HIDDEN),
        "ffn_up.weight": (FFN, HIDDEN),
        "ffn_down.weight": (HIDDEN, FFN),
    }
    if architecture == "qwen2":
        shapes |= {"attn_q.bias": (q,), "attn_k.bias": (kv,), "attn_v.bias": (kv,)}
    if architecture == "qwen3":
        shapes |= {"attn_q_norm.weight": (head_dim,), "attn_k_norm.weight": (head_dim,)}
    return shapes


def random_blocks(random: np.random.Generator, shape: tuple[int, ...], kind: Type) -> npt.NDArray[Any]:
    """Random weights of about 1 / sqrt(in) each, as a file of type `kind` holds them."""
    if kind in SUPER_BLOCKS:
        return _random_super_blocks(random, shape, kind)
    values = random.standard_normal(shape).astype(np.float32) / np.sqrt(shape[-1])
    blocks: npt.NDArray[Any] = gguf.quants.quantize(values if len(shape) > 1 else 1 + values, kind)
    return blocks


def _random_super_blocks(
    random: np.random.Generator, shape: tuple[int, ...], kind: Type
) -> npt.NDArray[np.uint8]:
    size, minimum, spread = SUPER_BLOCKS[kind]
    out, width = shape
    blocks = random.integers(0, 256, (out, width // 256, size), np.uint8)
    scales = random.uniform(0.5, 1.5, blocks.shape[:2]) / (spread * np.sqrt(width))
    halves = np.stack([scales, scales * minimum], axis=-1).astype("<f2").view(np.uint8)
    if kind == Type.Q6_K:
        blocks[..., -2:] = halves[..., :2]
    else:
        blocks[..., :4] = halves
    return blocks.reshape(out, -1)


def transformers_model(path: Path) -> Any:
    """The model in the file, in transformers and float32."""
    import torch
    import transformers

    file = read_gguf(path)
    architecture = file.metadata["general.architecture"]
    name = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}[architecture]
    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(file.metadata["tokenizer.ggml.tokens"]),
        hidden_size=HIDDEN,
        intermediate_size=FFN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        head_dim=HEAD_DIMS[architecture],
        max_position_embeddings=256,
        rms_norm_eps=EPSILON,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_BASE},
        tie_word_embeddings="output.weight" not in file.tensors,
    )
    model = getattr(transformers, f"{name}ForCausalLM")(config).float().eval()
    values = {name: tensor.floats() for name, tensor in file.tensors.items()}
    factors = values.pop("rope_freqs.weight", None)
    state = {_place(name): torch.from_numpy(_turned(architecture, name, v)) for name, v in values.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert set(missing) <= {"lm_head.weight"}
    assert not unexpected
    model.tie_weights()
    if factors is not None:
        model.model.rotary_emb.inv_freq /= torch.from_numpy(factors)
    return model


def _place(name: str) -> str:
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, layer, module, kind = name.split(".")
    return f"model.layers.{layer}.{MODULES[module]}.{kind}"


def _turned(architecture: str, name: str, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Files of llama models have each head's rows (i, i + half) of q and k side by side."""
    if architecture != "llama" or not name.endswith(("attn_q.weight", "attn_k.weight")):
        return values
    half = HEAD_DIMS[architecture] // 2
    return values.reshape(-1, half, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
