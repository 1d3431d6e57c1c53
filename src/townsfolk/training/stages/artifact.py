"""A trained adapter -> files as they are served: 16 bit, safetensors, its manifest beside it.

Nothing is pickled, nothing but the adapter is written, and no path of this machine: the base model is
named by its hash. The engine's own reader has the last word before the manifest is written.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peft
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from townsfolk.errors import ConfigError
from townsfolk.training.stages.config import RunConfig
from townsfolk.training.stages.run import ADAPTER, MANIFEST
from townsfolk.training.stages.served import ServedBase
from townsfolk.types.manifest import Manifest

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
KEPT = (
    "peft_type",
    "task_type",
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "bias",
    "use_rslora",
    "alora_invocation_tokens",
)
"""Fields of PEFT's config that say what the adapter computes; the rest are defaults, or of this machine."""


@dataclass(frozen=True)
class Trained:
    """What a run knows at its end, for the manifest.

    Attributes:
        parent: content hash of the adapter it was continued from, or "".
        reward_model: content hash of the adapter that judged replies, or "".
        steps: of the optimizer.
    """

    config: RunConfig
    served: ServedBase
    dataset_hash: str
    rows: int
    steps: int
    parent: str = ""
    reward_model: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


def save_adapter(
    model: Any, folder: Path, trained: Trained, adapter_name: str = "default", weights: Any = None
) -> Manifest:
    """Write `folder/adapter/` and `folder/manifest.json`, each replaced in one step.

    Args:
        model: a PEFT model.
        weights: its state, where it lies in pieces on several GPUs; None: the model's own.

    Raises:
        AdapterError: the engine would refuse it: values that are no numbers, above all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adapter-", dir=folder) as made:
        write_adapter(model, Path(made) / ADAPTER, trained.served.reference, adapter_name, weights)
        content_hash = trained.served.check_adapter(Path(made) / ADAPTER)
        shutil.rmtree(folder / ADAPTER, ignore_errors=True)
        Path(made, ADAPTER).rename(folder / ADAPTER)
        manifest = _manifest(trained, content_hash)
        text = manifest.model_dump_json(indent=1) + "\n"
        Path(made, MANIFEST).write_text(text, encoding="utf-8")
        Path(made, MANIFEST).replace(folder / MANIFEST)
    return manifest


def write_adapter(
    model: Any, folder: Path, reference: str, adapter_name: str = "default", weights: Any = None
) -> None:
    """Write the adapter alone, in PEFT's format and in 16 bit, its base model named `reference`."""
    folder.mkdir(parents=True)
    state: dict[str, Any] = peft.get_peft_model_state_dict(model, weights, adapter_name=adapter_name)
    halves = {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in state.items()}
    save_file(halves, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    (folder / WEIGHTS_FILE).chmod(0o644)  # it is written for its owner alone; who serves may be another
    config = {key: _plain(value) for key, value in model.peft_config[adapter_name].to_dict().items()}
    kept = {key: config[key] for key in KEPT} | {"base_model_name_or_path": reference, "inference_mode": True}
    text = json.dumps(kept, indent=1, sort_keys=True) + "\n"
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    """Sets in a fixed order, so that the same adapter has the same bytes; enumerations by their value."""
    if isinstance(value, set):
        return sorted(value)
    return getattr(value, "value", value)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished run or of a persona's version.

    Raises:
        ConfigError: there is none.
    """
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{folder}: no finished run: {error}; train it first") from error


def _manifest(trained: Trained, content_hash: str) -> Manifest:
    return Manifest(
        persona=trained.config.persona,
        stage=trained.config.stage,
        adapter_hash=content_hash,
        base=trained.served.reference,
        template_hash=trained.served.template_hash,
        parent=trained.parent,
        reward_model=trained.reward_model,
        dataset_hash=trained.dataset_hash,
        rows=trained.rows,
        steps=trained.steps,
        seed=trained.config.seed,
        settings=_portable(trained.config),
        metrics=trained.metrics,
        created_at=time.time(),
    )


def _portable(config: RunConfig) -> dict[str, str | int | float | bool | None]:
    """The settings without folders of this machine: datasets, bases and parents are named by their hashes."""
    local = ("dataset", "output_dir", "model", "parent", "reward_model")
    return {key: value for key, value in config.flat().items() if key not in local}
