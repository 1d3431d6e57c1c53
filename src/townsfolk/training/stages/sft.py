"""Supervised fine-tuning: LoRA on TRL's SFTTrainer, rows packed, logits at replies' tokens alone.

It refuses to know texts: rows come as tokens, the manifest's facts from whoever calls.
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
import trl

from townsfolk.errors import ConfigError
from townsfolk.training.stages import base
from townsfolk.training.stages.artifact import Trained, read_manifest, save_adapter
from townsfolk.training.stages.config import RunConfig
from townsfolk.training.stages.packing import ATTENTION, Pack, batches_by_length, pack, target_log_probs
from townsfolk.training.stages.run import Run as RunFolder
from townsfolk.training.stages.run import is_main_process, open_run
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Ids, Rows
from townsfolk.types.manifest import Manifest


def run(config: RunConfig, served: ServedBase, rows: Rows, quiet: bool = False) -> Manifest:
    """Train as `config` says and write the adapter; what a crash cut short is continued.

    Raises:
        ConfigError: there is nothing to learn, or the settings don't fit this machine or folder.
        AdapterError: the parent does not fit, or what was learnt can't be served.
    """
    if not rows.train:
        raise ConfigError(f"the dataset {config.dataset} has no rows of {config.persona}: check `persona`")
    with open_run(config, quiet) as folder:
        model, parent = base.with_adapter(base.load_base(served, config), served, config)
        model.get_base_model().set_attn_implementation(ATTENTION)
        trainer = PackedTrainer(model, config, served, rows, folder)
        checkpoint = last_checkpoint(folder.checkpoints)
        if checkpoint:
            folder.continue_from(_step_of(checkpoint))
        result = trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
        trained = Trained(
            config=config,
            served=served,
            dataset_hash=rows.dataset_hash,
            rows=len(rows.train),
            steps=result.global_step,
            parent=parent,
            metrics=trainer.last_figures,
        )
        weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # from all processes
        if is_main_process():
            save_adapter(trainer.model, config.output_dir, trained, weights=weights)
        trainer.accelerator.wait_for_everyone()
    return read_manifest(config.output_dir)


class PackedTrainer(trl.SFTTrainer):  # type: ignore[misc]
    """TRL's trainer on packs of token rows.

    Attributes:
        last_figures: as they were logged last.
    """

    def __init__(
        self, model: Any, config: RunConfig, served: ServedBase, rows: Rows, folder: RunFolder
    ) -> None:
        self._rows, self._held_out = rows.train, rows.held_out[: config.eval_rows]
        self._opening: Ids = tuple(model.active_peft_config.alora_invocation_tokens or ())
        self._folder, self._tokens, self._since = folder, 0, time.monotonic()
        self.last_figures: dict[str, float] = {}
        super().__init__(
            model=model,
            args=arguments(config, folder.checkpoints, bool(self._held_out)),
            data_collator=self._collate,
            train_dataset=_indexes(len(self._rows), 0),
            eval_dataset=_indexes(len(self._held_out), len(self._rows)) if self._held_out else None,
            processing_class=base.load_tokenizer(served),
        )
        self.loss_is_scaled_for_ga = True  # by _get_num_items_in_batch, below

    def _collate(self, examples: Sequence[dict[str, int]]) -> dict[str, Pack]:
        everything = len(self._rows)
        rows = [
            self._rows[n] if n < everything else self._held_out[n - everything]
            for n in (example["row"] for example in examples)
        ]
        return {"pack": pack(rows, self._opening)}

    def _get_train_sampler(self, train_dataset: Any = None) -> "LengthSampler":
        lengths = [len(row.prompt) + len(row.reply) for row in self._rows]
        return LengthSampler(lengths, self.args.per_device_train_batch_size, self.args.seed)

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Pack]], device: Any) -> Any:
        """What a step's loss is divided by: the weights of all its targets, in all processes."""
        if not batch_samples:
            return None
        total = sum(batch["pack"].weights.sum() for batch in batch_samples).to(device)
        return self.accelerator.gather(total).sum() if self.args.world_size > 1 else total

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Weighted mean of the targets' negative log probabilities."""
        own: Pack = inputs["pack"].to(self.args.device)
        losses = -target_log_probs(model, own) * own.weights
        if num_items_in_batch is None:
            loss = losses.sum() / own.weights.sum()
        else:  # processes' gradients are averaged, so each counts for all
            loss = losses.sum() / num_items_in_batch * self.accelerator.num_processes
        return (loss, None) if return_outputs else loss

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        own: Pack = inputs["pack"]
        self._tokens += own.tokens
        return super().training_step(model, inputs, num_items_in_batch)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Into the run's own log; the summary at the end repeats what is there."""
        if "train_runtime" in logs:
            return
        figures = {key.removeprefix("train_"): value for key, value in logs.items() if key in LOGGED}
        if "loss" in figures:
            now = time.monotonic()
            figures["tokens_per_s"] = round(self._tokens / (now - self._since), 1)
            self._tokens, self._since = 0, now
        self.last_figures |= figures
        self._folder.log(self.state.global_step, self.state.max_steps, **figures)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """The manifest is the adapter's card."""


LOGGED = ("loss", "eval_loss", "grad_norm", "learning_rate", "epoch")
"""Of the trainer's figures, those of the loss's own course."""


class LengthSampler(torch.utils.data.Sampler):  # type: ignore[misc]
    """Indexes so that each `batch_size` of them, one after another, have about one length."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed, self._epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Each epoch draws anew, the same each time it is run."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        for batch in batches_by_length(self._lengths, self._batch_size, (self._seed, self._epoch)):
            yield from batch


def _indexes(count: int, first: int) -> Any:
    return datasets.Dataset.from_dict({"row": list(range(first, first + count))})


def arguments(config: RunConfig, checkpoints: Path, evaluate: bool) -> Any:
    """Our settings as TRL's; on a GPU with fp16 alone its products are scaled against underflow."""
    on_cpu = base.device_of(config) == "cpu"
    return trl.SFTConfig(
        output_dir=str(checkpoints),
        use_cpu=on_cpu,
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
        gradient_checkpointing=False,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=False,
        logging_steps=config.log_steps,
        logging_first_step=True,
        eval_strategy="epoch" if evaluate else "no",
        save_strategy="steps",
        save_steps=config.save_steps,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
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
