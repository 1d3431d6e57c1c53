"""A PPO run's state on disk: tensors as safetensors, the rest as JSON, nothing pickled.

A checkpoint is a folder that is there whole or not at all, and on the disk before the one before it goes: a
run that is killed, or whose machine is, goes on from the last one.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from townsfolk.disk import sync

TENSORS, FACTS = "state.safetensors", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on.

    Attributes:
        step: the one that comes next.
        tensors: by the part they belong to.
        facts: numbers by name.
    """

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    facts: Mapping[str, float]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write it into `folder`; those before it are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    older = list(folder.glob("checkpoint-*"))
    with tempfile.TemporaryDirectory(prefix=".checkpoint-", dir=folder) as made:
        whole = Path(made) / "whole"
        whole.mkdir()
        flat = {f"{part}/{name}": it for part, own in checkpoint.tensors.items() for name, it in own.items()}
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in flat.items()}, whole / TENSORS
        )
        (whole / FACTS).write_text(json.dumps(dict(checkpoint.facts)), encoding="utf-8")
        for path in (whole / TENSORS, whole / FACTS, whole):
            sync(path)
        whole.rename(folder / f"checkpoint-{checkpoint.step}")
        sync(folder)
    for path in older:
        shutil.rmtree(path)


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest one in `folder`; None where there is none."""
    steps = {int(path.name.rpartition("-")[2]): path for path in folder.glob("checkpoint-*")}
    if not steps:
        return None
    newest = steps[max(steps)]
    tensors: dict[str, dict[str, Tensor]] = {}
    for place, tensor in load_file(newest / TENSORS).items():
        part, _, name = place.partition("/")
        tensors.setdefault(part, {})[name] = tensor
    return Checkpoint(max(steps), tensors, json.loads((newest / FACTS).read_text(encoding="utf-8")))


def optimizer_tensors(optimizer: Any) -> dict[str, Tensor]:
    """The moments and counts of a torch optimizer, by parameter and name."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": tensor for index, own in state.items() for name, tensor in own.items()}


def restore_optimizer(optimizer: Any, tensors: Mapping[str, Tensor]) -> None:
    """What `optimizer_tensors` gave, into a fresh optimizer of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for place, tensor in tensors.items():
        index, _, name = place.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
