"""LoRA adapters: folders in PEFT format, read without trust, in 16 bit.

A folder holds `adapter_config.json` and `adapter_model.safetensors`. Its config names the base model as
`NAME@sha256:HASH` (`base_reference`), so that an adapter never runs on a base it wasn't trained on.
It refuses to know of personas: an adapter is its content hash.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors

from townsfolk.engine.hyperparameters import Hyperparameters
from townsfolk.errors import AdapterError

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
MAX_WEIGHTS_BYTES, MAX_CONFIG_BYTES, MAX_RANK, MAX_INVOCATION = 256_000_000, 100_000, 256, 64
MAX_SCALING = 1_000
"""Of B A: far above what training uses, and its product with any 16-bit number is finite in 32 bits."""
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
TENSOR_NAME = re.compile(
    r"base_model\.model\.model\.layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.lora_([AB])\.weight"
)
PLAIN: Mapping[str, tuple[Any, ...]] = {
    "bias": ("none",),
    "modules_to_save": (None, []),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
    "use_dora": (None, False),
    "lora_bias": (None, False),
    "fan_in_fan_out": (None, False),
}
"""Config fields that change the arithmetic, with the values that mean plain LoRA."""

Halves = npt.NDArray[np.float16]
Factors = Mapping[tuple[int, str], tuple[Halves, Halves]]


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter, checked against the base model: W x becomes W x + scaling * B A x."""

    content_hash: str
    """sha256 over the canonical config and the weights, hexadecimal."""
    rank: int
    scaling: float
    size_bytes: int  # of the weights in memory
    factors: Factors
    """(layer, PEFT's module name) -> (A [rank, in], B [out, rank])."""
    invocation: tuple[int, ...] = ()
    """Tokens that activate it (PEFT's `alora_invocation_tokens`); (): it applies from the start."""


def base_reference(name: str, base_hash: str) -> str:
    """What an adapter's `base_model_name_or_path` must be."""
    return f"{name}@sha256:{base_hash}"


def read_adapter(
    folder: Path, allowed_dirs: Sequence[Path], params: Hyperparameters, base_hash: str
) -> Adapter:
    """Read and check the adapter in `folder`, which must lie in one of `allowed_dirs`.

    Raises:
        AdapterError: says what is wrong with it and what would be right.
    """
    folder = _inside(folder, allowed_dirs)
    _refuse_pickles(folder)
    config_bytes = _read_file(_inside(folder / CONFIG_FILE, allowed_dirs), MAX_CONFIG_BYTES)
    weight_bytes = _read_file(_inside(folder / WEIGHTS_FILE, allowed_dirs), MAX_WEIGHTS_BYTES)
    config = _parse_config(config_bytes)
    rank, scaling = _check_config(config, base_hash)
    factors = _factors(_parse_weights(weight_bytes), rank, params)
    return Adapter(
        content_hash=_content_hash(config, weight_bytes),
        rank=rank,
        scaling=scaling,
        size_bytes=sum(a.nbytes + b.nbytes for a, b in factors.values()),
        factors=factors,
        invocation=_invocation(config, params.vocab),
    )


def _inside(path: Path, allowed_dirs: Sequence[Path]) -> Path:
    """`path` with its links resolved, if that is inside an allowed folder."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise AdapterError(f"adapter {path}: no such file or folder; check the path") from error
    if not any(real.is_relative_to(folder.resolve()) for folder in allowed_dirs):
        allowed = ", ".join(map(str, allowed_dirs)) or "none"
        raise AdapterError(f"adapter {path}: outside the allowed folders ({allowed}); move it there")
    return real


def _refuse_pickles(folder: Path) -> None:
    if not folder.is_dir():
        raise AdapterError(f"adapter {folder}: not a folder; name the folder that holds {CONFIG_FILE}")
    try:
        files = list(folder.iterdir())
    except OSError as error:
        raise AdapterError(f"adapter {folder}: can't be read: {error}; let the service read it") from error
    for file in files:
        if file.suffix.lower() in PICKLES:
            raise AdapterError(f"adapter file {file}: a pickle can run code; save as safetensors, remove it")


def _read_file(path: Path, limit: int) -> bytes:
    """At most `limit` bytes: read once, so that what was checked is what is used."""
    if not path.is_file():  # a pipe, say, would be waited on for ever
        raise AdapterError(f"adapter file {path}: not a plain file; save the adapter again")
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise AdapterError(f"adapter file {path}: can't be read: {error}") from error
    if len(data) > limit:
        raise AdapterError(f"adapter file {path}: over {limit:,} bytes; train with a lower rank")
    return data


def _parse_config(data: bytes) -> dict[str, Any]:
    try:
        config = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"{CONFIG_FILE}: not JSON ({error}); save the adapter again") from error
    if not isinstance(config, dict):
        raise AdapterError(f"{CONFIG_FILE}: must be an object, got {type(config).__name__}")
    return config


def _check_config(config: dict[str, Any], base_hash: str) -> tuple[int, float]:
    """(rank, scaling) of a plain LoRA config for the base model `base_hash`."""
    if config.get("peft_type") != "LORA":
        raise AdapterError(f"{CONFIG_FILE}: peft_type is {config.get('peft_type')!r}, must be 'LORA'")
    for field, plain in PLAIN.items():
        if config.get(field, plain[0]) not in plain:
            raise AdapterError(f"{CONFIG_FILE}: {field} is {config[field]!r}, must be {plain[-1]!r}")
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base.endswith(f"@sha256:{base_hash}"):
        raise AdapterError(
            f"{CONFIG_FILE}: base_model_name_or_path is {base!r}; this base model is "
            f"'NAME@sha256:{base_hash}': train on it, or write that if the adapter was"
        )
    return _rank_and_scaling(config)


def _rank_and_scaling(config: dict[str, Any]) -> tuple[int, float]:
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if type(rank) is not int or not 1 <= rank <= MAX_RANK:
        raise AdapterError(f"{CONFIG_FILE}: r is {rank!r}, must be a whole number from 1 to {MAX_RANK}")
    divisor = math.sqrt(rank) if config.get("use_rslora") else rank
    most = MAX_SCALING * divisor  # compared before anything is computed: an int may be beyond all floats
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not -most <= alpha <= most:
        raise AdapterError(
            f"{CONFIG_FILE}: lora_alpha is {alpha!r:.60}, must be a finite number, at most {most:,.0f} "
            f"with r {rank}; train with a smaller one"
        )
    return rank, alpha / divisor


def _invocation(config: dict[str, Any], vocab: int) -> tuple[int, ...]:
    tokens = config.get("alora_invocation_tokens")
    if tokens is None:
        return ()
    whole = isinstance(tokens, list) and all(type(token) is int and 0 <= token < vocab for token in tokens)
    if not whole or not 1 <= len(tokens) <= MAX_INVOCATION:
        raise AdapterError(
            f"{CONFIG_FILE}: alora_invocation_tokens is {tokens!r:.80}, must be 1 to {MAX_INVOCATION} ids "
            f"from 0 to {vocab - 1} in a list, or null for an adapter that applies from the start"
        )
    return tuple(tokens)


def _parse_weights(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    try:
        tensors: Any = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise AdapterError(
            f"{WEIGHTS_FILE}: not a whole safetensors file ({error}); save it again"
        ) from error
    return {name: _to_half(name, tensor) for name, tensor in tensors}


def _to_half(name: str, tensor: dict[str, Any]) -> Halves:
    readers: dict[str, np.dtype[Any]] = {
        "F16": np.dtype("<f2"),
        "F32": np.dtype("<f4"),
        "BF16": np.dtype("<u2"),
    }
    kind = tensor["dtype"]
    if kind not in readers:
        raise AdapterError(f"{WEIGHTS_FILE}: tensor {name} is {kind}, must be one of {', '.join(readers)}")
    values: npt.NDArray[Any] = np.frombuffer(tensor["data"], readers[kind]).reshape(tensor["shape"])
    if kind == "BF16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        half: Halves = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise AdapterError(f"{WEIGHTS_FILE}: tensor {name} has NaN, infinity or a value over 65,504")
    return half


def _factors(tensors: Mapping[str, Any], rank: int, params: Hyperparameters) -> Factors:
    found: dict[tuple[int, str], dict[str, Halves]] = {}
    for name, values in tensors.items():
        layer, target, factor = _place(name, params)
        projection, _, rows = params.targets()[target]
        shape = (rank, params.shape(projection)[1]) if factor == "A" else (rows, rank)
        if values.shape != shape:
            raise AdapterError(f"{WEIGHTS_FILE}: tensor {name} is {values.shape}, must be {shape}")
        found.setdefault((layer, target), {})[factor] = values
    for (layer, target), pair in found.items():
        if len(pair) != 2:
            raise AdapterError(f"{WEIGHTS_FILE}: layer {layer} {target} has only one of lora_A and lora_B")
    if not found:
        raise AdapterError(f"{WEIGHTS_FILE}: holds no tensors; save the adapter again")
    return {place: (pair["A"], pair["B"]) for place, pair in found.items()}


def _place(name: str, params: Hyperparameters) -> tuple[int, str, str]:
    """A tensor's name -> (layer, target, 'A' or 'B')."""
    match = TENSOR_NAME.fullmatch(name)
    if match is None or match[2] not in params.targets() or int(match[1]) >= params.layers:
        known = ", ".join(params.targets())
        raise AdapterError(
            f"{WEIGHTS_FILE}: tensor {name} fits nothing in the base model, which has {params.layers} layers "
            f"with {known}"
        )
    return int(match[1]), match[2], match[3]


def _content_hash(config: dict[str, Any], weights: bytes) -> str:
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical + b"\0" + weights).hexdigest()
