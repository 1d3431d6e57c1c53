"""A random llama model small enough that an engine test takes milliseconds, and random LoRA adapters."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import yaml
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import save_file

from townsfolk.config import Settings, load_settings
from townsfolk.engine.adapters import CONFIG_FILE, WEIGHTS_FILE, base_reference
from townsfolk.engine.hyperparameters import Hyperparameters
from townsfolk.engine.vocabulary import byte_alphabet
from townsfolk.policy.rules import SHIPPED

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MERGES = ("h e", "l l", "he ll", "hell o", "Ġ t", "Ġt h", "Ġth e", "i n", "in g", "e r")
HIDDEN, FFN, HEADS, KV_HEADS = 64, 96, 4, 2
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def write_tiny_model(
    path: Path,
    *,
    layers: int = 2,
    seed: int = 0,
    kind: Type = Type.Q4_1,
    architecture: str = "llama",
    extra: Sequence[str] = (),
    context: int = 256,
    vocabulary: Callable[[gguf.GGUFWriter], list[str]] | None = None,
) -> Path:
    """Write a GGUF with random weights and linear layers of type `kind`.

    Args:
        vocabulary: writes it and returns the tokens; None: a byte-level one.
        extra: names of further tensors, which no llama has.
        context: tokens that the model says it was trained for.
    """
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    _write_metadata(writer, layers, context)
    tokens = (vocabulary or write_vocabulary)(writer)

    def add(name: str, *shape: int, kind: Type = Type.F32) -> None:
        values = random.standard_normal(shape).astype(np.float32) / np.sqrt(shape[-1])
        values = 1 + values if len(shape) == 1 else values
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    add("token_embd.weight", len(tokens), HIDDEN, kind=Type.Q8_0)
    add("output_norm.weight", HIDDEN)
    kv = HIDDEN // HEADS * KV_HEADS
    for layer in range(layers):
        prefix = f"blk.{layer}."
        add(f"{prefix}attn_norm.weight", HIDDEN)
        add(f"{prefix}ffn_norm.weight", HIDDEN)
        add(f"{prefix}attn_q.weight", HIDDEN, HIDDEN, kind=kind)
        add(f"{prefix}attn_k.weight", kv, HIDDEN, kind=kind)
        add(f"{prefix}attn_v.weight", kv, HIDDEN, kind=kind)
        add(f"{prefix}attn_output.weight", HIDDEN, HIDDEN, kind=kind)
        add(f"{prefix}ffn_gate.weight", FFN, HIDDEN, kind=kind)
        add(f"{prefix}ffn_up.weight", FFN, HIDDEN, kind=kind)
        add(f"{prefix}ffn_down.weight", HIDDEN, FFN, kind=kind)
    for name in extra:
        add(name, HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_metadata(writer: gguf.GGUFWriter, layers: int, context: int) -> None:
    writer.add_block_count(layers)
    writer.add_context_length(context)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)


def write_vocabulary(writer: gguf.GGUFWriter) -> list[str]:
    """A byte-level vocabulary; its tokens."""
    merged = [merge.replace(" ", "") for merge in MERGES]
    tokens = [*CONTROL_TOKENS, *byte_alphabet().values(), *merged]
    kinds = [gguf.TokenType.CONTROL] * len(CONTROL_TOKENS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * (len(tokens) - len(kinds)))
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHATML)
    return tokens


def write_sentence_pieces(writer: gguf.GGUFWriter) -> list[str]:
    """A SentencePiece vocabulary; its tokens."""
    control, pieces = ["<s>", "</s>"], ["▁", *"helotr", "he", "ll", "▁t", "hell", "hello", "▁th", "▁the"]
    tokens = ["<unk>", *control, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    kinds = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.BYTE] * 256
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(n) for n in range(len(tokens))])
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * len(pieces))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    return tokens


def tiny_settings(folder: Path) -> Settings:
    """Settings of a whole service on a tiny model, everything it keeps in `folder`."""
    engine = {
        "model": write_tiny_model(folder / "tiny.gguf", context=8192),
        "max_context": 4096,
        "kv_tokens": 32_768,
        "max_prefill_tokens": 2048,
    }
    store = {
        "url": f"sqlite:///{folder}/village.db",
        "spool_dir": folder / "spool",
        "behaviour_log": folder / "behaviour.jsonl",
    }
    return load_settings(
        engine=engine,
        store=store,
        policy={"rules": _rules_of_deeds(folder / "rules.yaml")},
        promotion={"registry_dir": folder / "registry"},
        adapters_dirs=(folder / "adapters",),
    )


def _rules_of_deeds(file: Path) -> Path:
    """The shipped rules without those for texts: random words break one now and then, and are not told."""
    rules = yaml.safe_load(SHIPPED.read_text("utf-8"))
    file.write_text(yaml.safe_dump(rules | {"texts": {}}), "utf-8")
    return file


def write_random_adapter(
    folder: Path,
    params: Hyperparameters,
    base_hash: str,
    *,
    rank: int = 8,
    seed: int = 0,
    scale: float = 1.0,
    targets: Sequence[str] = ATTENTION,
    **config: Any,
) -> Path:
    """Write a random LoRA adapter in PEFT format; `config` overrides fields of its config.

    Args:
        scale: about how large its effect is, compared with that of the weights it changes.
    """
    random = np.random.default_rng(seed)
    tensors = {}
    for layer in range(params.layers):
        for target in targets:
            projection, _, rows = params.targets()[target]
            width = params.shape(projection)[1]
            block = "self_attn" if target in ATTENTION else "mlp"
            name = f"base_model.model.model.layers.{layer}.{block}.{target}"
            a = random.standard_normal((rank, width)) / np.sqrt(width)
            b = random.standard_normal((rows, rank)) / np.sqrt(rank) * scale / 2
            tensors[f"{name}.lora_A.weight"] = a.astype(np.float16)
            tensors[f"{name}.lora_B.weight"] = b.astype(np.float16)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS_FILE)
    values = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_reference("test", base_hash),
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": list(targets),
        "bias": "none",
    }
    (folder / CONFIG_FILE).write_text(json.dumps(values | config))
    return folder
