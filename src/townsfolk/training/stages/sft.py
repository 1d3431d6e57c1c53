"""Supervised fine-tuning: LoRA on TRL's SFTTrainer, rows packed, logits at replies' tokens alone.

It refuses to know texts: rows come as tokens, the manifest's facts from whoever calls.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import datasets
import torch
import trl

from townsfolk.errors import ConfigError
from townsfolk.training.stages import base, trainers
from townsfolk.training.stages.config import ImitationConfig
from townsfolk.training.stages.packing import ATTENTION, Pack, batches_alike, pack, target_log_probs
from townsfolk.training.stages.run import Run
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Ids, Rows, TokenRow
from townsfolk.types.manifest import Manifest


def run(config: ImitationConfig, served: ServedBase, rows: Rows, quiet: bool = False) -> Manifest:
    """Train on the rows to imitate: those that players liked, or that nobody judged.

    Raises:
        ConfigError: there is nothing to learn, or the settings don't fit this machine or folder.
        AdapterError: the parent does not fit, or what was learnt can't be served.
    """
    train, held_out = ([row for row in side if row.to_imitate] for side in (rows.train, rows.held_out))
    return imitate(config, served, replace(rows, train=train, held_out=held_out), quiet)


def imitate(config: ImitationConfig, served: ServedBase, rows: Rows, quiet: bool = False) -> Manifest:
    """Train on all `rows` by their weights and write the adapter."""
    if not rows.train:
        raise ConfigError(f"the dataset {config.dataset} has no rows of {config.persona} for {config.stage}")

    def make(model: Any, folder: Run) -> PackedTrainer:
        return PackedTrainer(model, config, served, rows, folder)

    return trainers.train(config, served, rows, make, quiet=quiet)


class PackedTrainer(trl.SFTTrainer):  # type: ignore[misc]
    """TRL's trainer on packs of token rows."""

    def __init__(
        self, model: Any, config: ImitationConfig, served: ServedBase, rows: Rows, folder: Run
    ) -> None:
        self._rows, self._held_out = rows.train, _spread(rows.held_out, config.eval_rows)
        self._act_weight = config.act_weight
        self._opening: Ids = tuple(model.active_peft_config.alora_invocation_tokens or ())
        self._folder, self._tokens, self._since = folder, 0, time.monotonic()
        model.get_base_model().set_attn_implementation(ATTENTION)
        super().__init__(
            model=model,
            args=trainers.arguments(
                config,
                folder.checkpoints,
                trl.SFTConfig,
                max_length=None,
                gradient_checkpointing=False,
                dataset_kwargs={"skip_prepare_dataset": True},
                eval_strategy="epoch" if self._held_out else "no",
            ),
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
        learnt = examples[0]["row"] < everything
        return {"pack": pack(rows, self._opening, self._act_weight if learnt else 1)}

    def _get_train_sampler(self, train_dataset: Any = None) -> "AlikeSampler":
        return AlikeSampler(self._rows, self.args.per_device_train_batch_size, self.args.seed)

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
        self._folder.log(self.state.global_step, self.state.max_steps, **figures)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """The manifest is the adapter's card."""


LOGGED = ("loss", "eval_loss", "grad_norm", "learning_rate", "epoch")
"""Of the trainer's figures, those of the loss's own course."""


class AlikeSampler(torch.utils.data.Sampler):  # type: ignore[misc]
    """Indexes so that each `batch_size` of them, one after another, are alike in persona and length."""

    def __init__(self, rows: Sequence[TokenRow], batch_size: int, seed: int) -> None:
        self._rows, self._batch_size, self._seed, self._epoch = rows, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Each epoch draws anew, the same each time it is run."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        for batch in batches_alike(self._rows, self._batch_size, (self._seed, self._epoch)):
            yield from batch


def _spread(rows: Sequence[TokenRow], most: int) -> Sequence[TokenRow]:
    """At most so many of the rows, from the first to the last."""
    return rows[:: -(-len(rows) // most)] if rows and most else ()


def _indexes(count: int, first: int) -> Any:
    return datasets.Dataset.from_dict({"row": list(range(first, first + count))})
