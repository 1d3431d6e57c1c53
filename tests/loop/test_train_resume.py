"""Any stage, ended by kill -9 and begun again: the losses and the adapter of a run that nothing has ended."""

import os
import signal
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from judged_rows import paired_rows, rated_rows
from tiny_training import config_for, write_served
from townsfolk.training.stages.config import CONFIGS
from townsfolk.training.stages.tokens import Rows
from townsfolk.types.manifest import Manifest

pytest.importorskip("torch", reason="needs the train extra")

from townsfolk.training.stages.run import Run, read_log

PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload([f"townsfolk.training.stages.{stage}" for stage in CONFIGS])
STEPS, SAVED_EACH, KILLED_AT = 12, 4, 10
"""The last checkpoint before the end lies in a later epoch than the first, and not at its beginning."""
SAMPLED = {"replies": 2, "max_reply_tokens": 8}
OWN: dict[str, dict[str, Any]] = {"grpo": SAMPLED, "ppo": {**SAMPLED, "prompts": 2}}
OF_THE_CLOCK = ("rss_mb", "seconds", "step_time", "tokens_per_s")


def learn(stage: str, home: Path, folder: Path, killed_at: int | None) -> None:
    """A run in `folder`, by the process that this is; `killed_at`: the step that it logs last."""
    os.environ["HOME"] = str(home)
    served, log = write_served(home)[0], Run.log

    def log_and_die(run: Run, step: int, steps: int, **figures: float) -> None:
        log(run, step, steps, **figures)
        if step == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    told = config_for(served, folder, max_steps=STEPS, save_steps=SAVED_EACH, lora_dropout=0.1)
    settings = told.model_dump(exclude={"act_weight"}) | OWN.get(stage, {})
    rows = Rows(
        [*rated_rows(6), *paired_rows(6)], [*rated_rows(4, seed=1), *paired_rows(4, seed=1)], "0" * 64
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "log", log_and_die)
        run = import_module(f"townsfolk.training.stages.{stage}").run
        run(CONFIGS[stage](**settings), served, rows, quiet=True)


def exit_code(*told: Any) -> int | None:
    """Of a process that learns."""
    process = PROCESSES.Process(target=learn, args=told)
    process.start()
    process.join()
    return process.exitcode


def outcome(folder: Path) -> tuple[str, list[dict[str, float]]]:
    """The adapter, and what was logged but for what no two runs have alike."""
    manifest = Manifest.model_validate_json((folder / "run" / "manifest.json").read_bytes())
    lines = read_log(folder / "run" / "log.jsonl")
    return manifest.adapter_hash, [
        {name: value for name, value in line.items() if name not in OF_THE_CLOCK} for line in lines
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("stage", CONFIGS)
def test_a_killed_run_ends_as_an_unbroken_one(stage: str, home: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert exit_code(stage, home, cut, KILLED_AT) == -signal.SIGKILL
    assert not (cut / "run" / "manifest.json").exists()
    assert read_log(cut / "run" / "log.jsonl")[-1]["step"] == KILLED_AT
    assert exit_code(stage, home, cut, None) == exit_code(stage, home, whole, None) == 0
    assert outcome(cut) == outcome(whole)
