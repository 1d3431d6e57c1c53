"""Figures of a run told to other programs, through accelerate's trackers: none unless asked for."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from townsfolk.errors import ConfigError

PROJECT = "townsfolk"


def open_trackers(names: Sequence[str], run: str, folder: Path, settings: Mapping[str, Any]) -> list[Any]:
    """Trackers of a run, begun; each has `log(figures, step)` and `finish()`.

    What they keep lies in `folder`: nothing leaves the machine unless WANDB_MODE or MLFLOW_TRACKING_URI
    say so.

    Raises:
        ConfigError: a tracker's package is not installed.
    """
    return [_opened(name, run, folder, settings) for name in names]


def _opened(name: str, run: str, folder: Path, settings: Mapping[str, Any]) -> Any:
    try:
        tracker = _made(name, run, folder)
        tracker.start()
    except ImportError as error:
        raise ConfigError(f"tracker {name} needs its package: pip install 'townsfolk[trackers]'") from error
    tracker.store_init_configuration(dict(settings))
    return tracker


def _made(name: str, run: str, folder: Path) -> Any:
    from accelerate import PartialState, tracking

    PartialState()  # trackers ask it whether this is the main process
    if name == "tensorboard":
        return tracking.TensorBoardTracker(run, logging_dir=folder / "tensorboard")
    if name == "wandb":
        os.environ.setdefault("WANDB_MODE", "offline")
        return tracking.WandBTracker(PROJECT, name=run, dir=str(folder))
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{folder.resolve() / 'mlflow.db'}")
    return tracking.MLflowTracker(PROJECT, run_name=run)
