"""Behavioural cloning: the trainer of `sft` on demonstrations, the better rewarded the more.

The weights are those of advantage-weighted regression (Peng et al., 2019, arXiv:1910.00177), each row's
reward being its advantage: no value is learnt, for a demonstration is judged as a whole.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from townsfolk.training.stages import sft
from townsfolk.training.stages.config import BcConfig
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows, TokenRow
from townsfolk.types.manifest import Manifest

MOST = 20.0
"""Times the average that one row may count."""


def run(config: BcConfig, served: ServedBase, rows: Rows, quiet: bool = False) -> Manifest:
    """Train as `sft` does, each row weighted by its reward."""
    weighted = weigh(rows.train, config.temperature)
    return sft.imitate(config, served, replace(rows, train=weighted), quiet)


def weigh(rows: Sequence[TokenRow], temperature: float) -> list[TokenRow]:
    """`rows` with their weights times exp(reward / temperature), 1 on average, at most MOST.

    A row that was not judged counts as one of reward 0.
    """
    factors = [math.exp((row.reward or 0.0) / temperature) for row in rows]
    mean = sum(factors) / max(1, len(factors))
    return [
        replace(row, weight=row.weight * min(MOST, factor / mean))
        for row, factor in zip(rows, factors, strict=True)
    ]
