"""Direct preference optimisation (Rafailov et al., 2023, arXiv:2305.18290): pairs, on TRL's DPOTrainer.

The reference is the parent adapter, frozen: TRL keeps a copy of what the adapter was at the beginning.
"""

from dataclasses import replace
from typing import Any

import datasets
import trl

from townsfolk.errors import ConfigError
from townsfolk.training.stages import base, trainers
from townsfolk.training.stages.config import DpoConfig
from townsfolk.training.stages.judged import pairs, repeated
from townsfolk.training.stages.run import Run
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows, TokenRow
from townsfolk.types.manifest import Manifest


def run(config: DpoConfig, served: ServedBase, rows: Rows, quiet: bool = False) -> Manifest:
    """Train as `config` says and write the adapter; what a crash cut short is continued.

    Raises:
        ConfigError: there are no pairs, or the settings don't fit this machine or folder.
        AdapterError: the parent does not fit, or what was learnt can't be served.
    """
    learnt = repeated(pairs(rows.train), config.seed)
    if not learnt:
        raise ConfigError(
            f"no pairs among {len(rows.train)} rows of {config.persona}: each is a row with a `rejected` "
            "reply, or two replies to the same scene with different rewards; collect more ratings, or learn "
            "from thumbs alone (townsfolk train kto)"
        )

    def make(model: Any, own: Run) -> TokenDpoTrainer:
        return TokenDpoTrainer(
            model=model,
            args=trainers.trl_arguments(
                config, own.checkpoints, trl.DPOConfig, beta=config.beta, precompute_ref_log_probs=True
            ),
            train_dataset=datasets.Dataset.from_list([_example(row) for row in learnt]),
            processing_class=base.load_tokenizer(served),
            callbacks=[trainers.RunLog(own)],
        )

    return trainers.train(config, served, replace(rows, train=learnt), make, quiet=quiet)


class TokenDpoTrainer(trl.DPOTrainer):  # type: ignore[misc]
    """TRL's trainer, given at once what it would make of texts."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset


def _example(row: TokenRow) -> dict[str, list[int]]:
    return {
        "prompt_ids": list(row.prompt),
        "chosen_ids": list(row.reply),
        "rejected_ids": list(row.rejected),
    }
