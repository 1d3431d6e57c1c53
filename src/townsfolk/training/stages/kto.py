"""Kahneman-Tversky optimisation (Ethayarajh et al., 2024, arXiv:2402.01306): thumbs, on TRL's KTOTrainer.

The reference is the parent adapter, frozen: TRL keeps a copy of what the adapter was at the beginning. How
far the run has gone from it is in the log as `kl`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import datasets
import trl

from townsfolk.training.stages import base, trainers
from townsfolk.training.stages.config import KtoConfig
from townsfolk.training.stages.judged import is_up, mixed, thumbs
from townsfolk.training.stages.run import Run
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows, TokenRow
from townsfolk.types.manifest import Manifest


def run(config: KtoConfig, served: ServedBase, rows: Rows, quiet: bool = False) -> Manifest:
    """Train as `config` says and write the adapter; what a crash cut short is continued.

    Raises:
        ConfigError: there are no thumbs up or none down, or the settings don't fit this machine or folder.
        AdapterError: the parent does not fit, or what was learnt can't be served.
    """
    ups, downs = thumbs(rows.train, config.seed)
    learnt = mixed(ups, downs)

    def make(model: Any, own: Run) -> TokenKtoTrainer:
        return TokenKtoTrainer(
            model=model,
            args=trainers.trl_arguments(
                config,
                own.checkpoints,
                trl.KTOConfig,
                beta=config.beta,
                precompute_ref_log_probs=True,
                desirable_weight=max(1.0, len(downs) / len(ups)),  # in all, both labels count the same
                undesirable_weight=max(1.0, len(ups) / len(downs)),
            ),
            train_dataset=datasets.Dataset.from_list(_examples(learnt, config.batch_size)),
            processing_class=base.load_tokenizer(served),
            callbacks=[trainers.RunLog(own)],
        )

    return trainers.train(config, served, replace(rows, train=learnt), make, quiet=quiet)


class TokenKtoTrainer(trl.KTOTrainer):  # type: ignore[misc]
    """TRL's trainer, given at once what it would make of texts."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset


def _examples(rows: Sequence[TokenRow], batch_size: int) -> list[dict[str, Any]]:
    """Rows as TRL has them tokenised.

    In each batch every prompt has its neighbour's reply as well: on those the KL is estimated (section 4.1 of
    the paper). So batches are taken in this order.
    """
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return [
        {
            "prompt_ids": list(row.prompt),
            "completion_ids": list(row.reply),
            "KL_completion_ids": list(batch[place - 1].reply),
            "label": is_up(row),
        }
        for batch in batches
        for place, row in enumerate(batch)
    ]
