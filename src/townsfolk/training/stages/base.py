"""The served GGUF -> a frozen torch model, and an adapter on it that learns.

Converting takes 20 s, so it is done once: the weights, dequantised exactly, are kept by the file's sha256
under the home's cache.
"""

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

from townsfolk.config import default_home
from townsfolk.errors import ConfigError, ModelError
from townsfolk.training.stages.config import RunConfig
from townsfolk.training.stages.served import ServedBase

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""What /proc/cpuinfo calls processors that multiply in bfloat16 (x86, Arm)."""

warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # about its own parts
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def load_base(served: ServedBase, config: RunConfig) -> Any:
    """The base model, frozen, on its device.

    Raises:
        ConfigError: the settings ask for a device or type that this machine does not have.
        ModelError: transformers can't read the file.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    device = device_of(config)
    kind = dtype_of(config)
    quantization = _eight_bit(device) if config.use_8bit else None
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        str(converted(served)),
        dtype=kind,
        device_map={"": device} if quantization else None,
        quantization_config=quantization,
    )
    model.requires_grad_(False)
    return model if quantization else model.to(device)


def converted(served: ServedBase, cache: Path | None = None) -> Path:
    """The folder with the model in the format of transformers, written if it is not there yet."""
    cache = cache or default_home() / "cache" / "base"
    folder = cache / served.sha256
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".convert-", dir=cache) as made:
            _convert(served.file, Path(made))
            if not folder.is_dir():  # another run may have been faster
                Path(made).joinpath("model").rename(folder)
    return folder


def _convert(file: Path, into: Path) -> None:
    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(**where)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            **where, dtype=torch.float32, quantization_config=transformers.GgufConfig(dequantize=True)
        )
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(f"base model {file}: transformers can't convert it: {error}") from error
    model.save_pretrained(into / "model")
    tokenizer.save_pretrained(into / "model")


def load_tokenizer(served: ServedBase) -> Any:
    """The tokenizer as transformers has it: trainers want one, even where rows are tokens already."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(converted(served)))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def device_of(config: RunConfig) -> str:
    """Where this process of the run computes: "cpu", or "cuda:0" and on.

    Raises:
        ConfigError: a GPU is asked for, and there is none.
    """
    there = torch.cuda.is_available()
    if config.device == "cuda" and not there:
        raise ConfigError("device is cuda, but torch sees no GPU: use device auto, or install torch for CUDA")
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if there and config.device != "cpu" else "cpu"


def dtype_of(config: RunConfig) -> Any:
    """torch's type of the frozen weights.

    Raises:
        ConfigError: float16 on a processor, which has no fast products of it.
    """
    device = device_of(config)
    if config.dtype == "float16" and device == "cpu":
        raise ConfigError("dtype float16 (use_fp16) needs a GPU: use dtype auto on a CPU")
    if config.dtype != "auto":
        return getattr(torch, config.dtype)
    fast = cpu_has_bfloat16() if device == "cpu" else torch.cuda.is_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def cpu_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether bfloat16 is faster than float32 here; where it is emulated it is far slower."""
    try:
        return bool(BFLOAT16_FLAGS & set(cpuinfo.read_text().split()))
    except OSError:
        return False


def _eight_bit(device: str) -> Any:
    if device == "cpu":
        raise ConfigError("use_8bit needs a GPU (bitsandbytes): leave it out on a CPU")
    try:
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    except ImportError as error:
        raise ConfigError("use_8bit needs bitsandbytes: pip install 'townsfolk[train-gpu]'") from error


def load_adapted(served: ServedBase, config: RunConfig) -> tuple[Any, str]:
    """The base model with an adapter that learns: a new one, or the parent to go on from.

    Returns:
        the PEFT model, and the content hash of the parent, empty where there is none.

    Raises:
        AdapterError: the parent was not trained on this base model, or is no adapter.
        ConfigError: it has another rank, scale or layers than `config` expressly asks for.
        ConfigError, ModelError: as `load_base` has it.
    """
    if not config.parent:
        model = load_base(served, config)
        torch.manual_seed(config.seed)
        return peft.get_peft_model(model, _new_adapter(served, config)), ""
    folder = adapter_folder(config.parent)
    parent_hash = served.check_adapter(folder)
    settings: Any = peft.LoraConfig.from_pretrained(str(folder))
    _refuse_another_shape(settings, config)  # before the base model is loaded, which may take 20 s
    settings.lora_dropout, settings.inference_mode = config.lora_dropout, False
    adapted: Any = peft.PeftModel.from_pretrained(
        load_base(served, config), str(folder), config=settings, is_trainable=True
    )
    return adapted, parent_hash


def adapter_folder(parent: str) -> Path:
    """The adapter's own folder, of a run's or a persona's folder or of itself."""
    folder = Path(parent).expanduser()
    return folder / "adapter" if (folder / "adapter").is_dir() else folder


def _refuse_another_shape(parent: Any, config: RunConfig) -> None:
    """What is continued keeps its shape; whoever asks for another must hear that they don't get it."""
    shape = {
        "lora_rank": (config.lora_rank, parent.r),
        "lora_alpha": (config.lora_alpha, parent.lora_alpha),
        "target_modules": (sorted(set(config.target_modules)), sorted(parent.target_modules)),
        "activated": (config.activated, parent.alora_invocation_tokens is not None),
    }
    for name, (asked, kept) in shape.items():
        if name in config.model_fields_set and asked != kept:
            raise ConfigError(
                f"{name} {asked}: the parent {config.parent} has {kept}, which an adapter that is continued "
                f"keeps; leave {name} out, or name no parent"
            )


def _new_adapter(served: ServedBase, config: RunConfig) -> Any:
    return peft.LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
        alora_invocation_tokens=list(served.opening) if config.activated else None,
    )
