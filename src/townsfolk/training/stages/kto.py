"""Kahneman-Tversky optimisation (Ethayarajh et al., 2024, arXiv:2402.01306): thumbs.

    loss = 1 - sigmoid(beta (log ratio - kl))    for a thumb up
    loss = 1 - sigmoid(beta (kl - log ratio))    for a thumb down

`kl`, how far the adapter has gone from its parent, is estimated on prompts with another row's reply (section
4.1 of the paper); no gradient goes through it. Rows that nobody judged count as liked: thumbs are about some
scenes, and shall change nothing in others.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import torch

from townsfolk.training.stages import trainers
from townsfolk.training.stages.config import KtoConfig
from townsfolk.training.stages.judged import thumbs, unjudged
from townsfolk.training.stages.preference import Example, PreferenceTrainer
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
    ups, downs = thumbs(rows.train)
    recalled = _recalled(rows.train, round(config.recalled * (len(ups) + len(downs))), config.seed)
    examples = _examples(config, ups, downs, recalled)

    def make(model: Any, own: Run) -> KtoTrainer:
        return KtoTrainer(model, config, own, examples, quiet)

    return trainers.train(config, served, replace(rows, train=[*ups, *downs, *recalled]), make, quiet=quiet)


def _recalled(rows: Sequence[TokenRow], most: int, seed: int) -> list[TokenRow]:
    """Of what nobody judged, as much as there is up to `most`.

    Up to a third of that turns hidden orders down: such rows are few, and the first to be forgotten.
    """
    known = unjudged(rows)
    Random(seed).shuffle(known)  # noqa: S311 - data, no secret
    adverse = [row for row in known if row.adverse][: most // 3]
    return (adverse + [row for row in known if not row.adverse])[:most]


def _examples(
    config: KtoConfig, ups: Sequence[TokenRow], downs: Sequence[TokenRow], recalled: Sequence[TokenRow]
) -> list[Example]:
    """Each row with another one's reply; a group's weight is in units of half the number of thumbs."""
    share = (len(ups) + len(downs)) / 2
    groups = ((config.desirable_weight, ups), (config.undesirable_weight, downs), (1.0, recalled))
    weighed = [
        (row, row.weight * weight * share / sum(row.weight for row in own))
        for weight, own in groups
        for row in own
    ]
    Random(config.seed).shuffle(weighed)  # noqa: S311 - data, no secret
    return [Example(row, weighed[place - 1][0].reply, weight) for place, (row, weight) in enumerate(weighed)]


class KtoTrainer(PreferenceTrainer):
    """Equation 8 of the paper."""

    def losses(self, model: Any, examples: Sequence[Example]) -> Any:
        with torch.no_grad():
            strayed = self.rewards(model, examples, 1).mean()
        kl = self.accelerator.gather(strayed).mean().clamp(min=0)
        rewards = self.rewards(model, examples, 0)[0]
        liked = torch.tensor([example.row.to_imitate for example in examples], device=rewards.device)
        self.note(kl=kl / self._beta, liked=rewards[liked], disliked=rewards[~liked])
        return 1 - torch.sigmoid(torch.where(liked, rewards - kl, kl - rewards))
