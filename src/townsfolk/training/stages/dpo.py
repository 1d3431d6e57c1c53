"""Direct preference optimisation (Rafailov et al., 2023, arXiv:2305.18290): pairs.

loss = -log sigmoid(beta (log ratio of the better reply - log ratio of the worse one))
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import torch

from townsfolk.errors import ConfigError
from townsfolk.training.stages import trainers
from townsfolk.training.stages.config import DpoConfig
from townsfolk.training.stages.judged import pairs
from townsfolk.training.stages.preference import Example, PreferenceTrainer
from townsfolk.training.stages.run import Run
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows
from townsfolk.types.manifest import Manifest


def run(config: DpoConfig, served: ServedBase, rows: Rows, quiet: bool = False) -> Manifest:
    """Train as `config` says and write the adapter; what a crash cut short is continued.

    Raises:
        ConfigError: there are no pairs, or the settings don't fit this machine or folder.
        AdapterError: the parent does not fit, or what was learnt can't be served.
    """
    learnt = pairs(rows.train)
    if not learnt:
        raise ConfigError(
            f"no pairs among {len(rows.train)} rows of {config.persona}: each is a row with a `rejected` "
            "reply, or two replies to the same scene with different rewards; collect more ratings, or learn "
            "from thumbs alone (townsfolk train kto)"
        )

    usual = fmean(row.weight for row in learnt)
    examples = [Example(row, row.rejected, row.weight / usual) for row in learnt]

    def make(model: Any, own: Run) -> DpoTrainer:
        return DpoTrainer(model, config, own, examples, quiet)

    return trainers.train(config, served, replace(rows, train=learnt), make, quiet=quiet)


class DpoTrainer(PreferenceTrainer):
    """Equation 7 of the paper."""

    def losses(self, model: Any, examples: Sequence[Example]) -> Any:
        better, worse = self.rewards(model, examples, 0, 1)
        self.note(liked=better, disliked=worse)
        return -torch.nn.functional.logsigmoid(better - worse)
