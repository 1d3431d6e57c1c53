"""What stages on trainers of transformers and TRL do alike: a run from its settings to the adapter saved.

It refuses to know what is learnt: a stage makes its trainer, and says what it measured at the end.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from townsfolk.training.stages import base
from townsfolk.training.stages.artifact import Trained, read_manifest, save_adapter
from townsfolk.training.stages.config import RunConfig
from townsfolk.training.stages.run import LOG, Run, is_main_process, open_run, read_log
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows
from townsfolk.types.manifest import Manifest

STEPS = 2**31
"""More than a run has: the seeds of its steps are its own."""


def train(
    config: RunConfig,
    served: ServedBase,
    rows: Rows,
    make: Callable[[Any, Run], Any],
    measure: Callable[[Any], Mapping[str, float]] = lambda model: {},
    *,
    quiet: bool = False,
) -> Manifest:
    """Train as `config` says and write the adapter; what a crash cut short is continued.

    Args:
        rows: what is learnt, as the manifest counts it.
        make: the PEFT model and the run -> a trainer that logs there.
        measure: the trained model -> figures for the manifest, beside the last ones of the log.

    Raises:
        ConfigError: the settings don't fit this machine or folder.
        AdapterError: the parent does not fit, or what was learnt can't be served.
    """
    with open_run(config, quiet) as run:
        model, parent = base.load_adapted(served, config)
        trainer = make(model, run)
        trainer.add_callback(SeededSteps())
        trainer.remove_callback(transformers.PrinterCallback)  # the run tells; stdout is for `--json`
        checkpoint = last_checkpoint(run.checkpoints)
        run.continue_from(_step_of(checkpoint) if checkpoint else 0)
        result = trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
        trained = Trained(
            config=config,
            served=served,
            dataset_hash=rows.dataset_hash,
            rows=len(rows.train),
            steps=result.global_step,
            parent=parent,
            metrics={**_last_figures(config.output_dir / LOG), **measure(model)},
        )
        weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # from all processes
        if is_main_process():
            save_adapter(model, config.output_dir, trained, weights=weights)
        trainer.accelerator.wait_for_everyone()
    return read_manifest(config.output_dir)


def _last_figures(log: Path) -> dict[str, float]:
    """Each figure as it was logged last."""
    figures: dict[str, float] = {}
    for line in read_log(log):
        figures |= line
    figures.pop("step", None)
    return figures


class SeededSteps(transformers.TrainerCallback):  # type: ignore[misc]
    """What a step draws depends on the seed and the step alone: a run that is continued draws the same.

    Trainers restore the generators' state of a checkpoint, but an evaluation after it draws from them too.
    """

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step * args.world_size + args.process_index
        torch.manual_seed(args.seed * STEPS + step)


class RunLog(transformers.TrainerCallback):  # type: ignore[misc]
    """A trainer's figures, into the run's own log."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **_: Any) -> None:
        """The summary at the end is left out: it repeats what is there."""
        if "train_runtime" not in logs:
            self._run.log(state.global_step, state.max_steps, **logs)


def arguments(config: RunConfig, checkpoints: Path, kind: Any, **own: Any) -> Any:
    """Our settings as a trainer's: `kind` is the class of its arguments, `own` what it alone is told."""
    return kind(
        output_dir=str(checkpoints),
        use_cpu=base.device_of(config) == "cpu",
        seed=config.seed,
        data_seed=config.seed,
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.g_accum,
        learning_rate=config.lr,
        lr_scheduler_type=config.schedule if config.schedule != "constant" else "constant_with_warmup",
        warmup_steps=config.warmup,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        bf16=False,  # the frozen weights have their type already, the adapter learns in float32
        fp16=config.dtype == "float16",
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=False,
        logging_steps=config.log_steps,
        logging_first_step=True,
        save_strategy="steps",
        save_steps=config.save_steps,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        **own,
    )


def last_checkpoint(folder: Path) -> Path | None:
    """The last one that was written whole: a trainer's state is written after all else."""
    whole = [path for path in folder.glob("checkpoint-*") if _is_whole(path)]
    return max(whole, key=_step_of, default=None)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _is_whole(checkpoint: Path) -> bool:
    state = checkpoint / transformers.trainer.TRAINER_STATE_NAME
    try:
        json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
