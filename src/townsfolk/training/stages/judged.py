"""Rows that players judged -> pairs and thumbs, which preferences are learnt from.

It refuses to know how: the reward model, KTO and DPO all begin here.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from townsfolk.errors import ConfigError
from townsfolk.training.data.played import EXPLICIT
from townsfolk.training.stages.tokens import Ids, TokenRow

IMITATED = 1.0
"""Reward of a row that nobody judged: it is there to be imitated."""


def pairs(rows: Sequence[TokenRow]) -> list[TokenRow]:
    """Rows with a `rejected` reply: those that have one, and one for each two replies to the same prompt that
    were judged differently, weighted by how much.
    """
    found = [row for row in rows if row.rejected and row.rejected != row.reply]
    for own in _by_prompt(rows).values():
        found += _contrasts(own)
    return found


def _by_prompt(rows: Sequence[TokenRow]) -> dict[Ids, list[TokenRow]]:
    """Rows without a rejected reply, by their prompt."""
    found: dict[Ids, list[TokenRow]] = defaultdict(list)
    for row in rows:
        if not row.rejected:
            found[row.prompt].append(row)
    return found


def _contrasts(rows: Sequence[TokenRow]) -> Iterator[TokenRow]:
    """Each two replies to one prompt, the better as `reply`; the judgements of one reply are averaged."""
    judged: dict[Ids, list[TokenRow]] = defaultdict(list)
    for row in rows:
        judged[row.reply].append(row)
    ranked = sorted(((_reward(same), same[0]) for same in judged.values()), key=lambda it: -it[0])
    for (better, chosen), (worse, rejected) in itertools.combinations(ranked, 2):
        if better > worse:
            weight = (better - worse) / 2 * min(chosen.weight, rejected.weight)
            yield replace(chosen, rejected=rejected.reply, weight=weight)


def _reward(same: Sequence[TokenRow]) -> float:
    return fmean(IMITATED if row.reward is None else row.reward for row in same)


def rated(rows: Sequence[TokenRow]) -> list[TokenRow]:
    """Rows that were judged alone, by a reward that is not 0."""
    return [row for row in rows if row.reward and not row.rejected]


def unjudged(rows: Sequence[TokenRow]) -> list[TokenRow]:
    """Rows that nobody judged: authored ones, above all."""
    return [row for row in rows if row.reward is None and not row.rejected]


def by_players(rows: Sequence[TokenRow]) -> list[TokenRow]:
    """Of `rated`, those that a thumb or a reviewer judged: hints and broken rules weigh less."""
    return [row for row in rated(rows) if row.weight >= EXPLICIT]


def thumbs(rows: Sequence[TokenRow]) -> tuple[list[TokenRow], list[TokenRow]]:
    """Rows with a thumb up and with a thumb down.

    Raises:
        ConfigError: no ups, or no downs: what is liked says nothing without what is not.
    """
    judged = rated(rows)
    ups = [row for row in judged if is_up(row)]
    downs = [row for row in judged if not is_up(row)]
    if not ups or not downs:
        raise ConfigError(
            f"{len(ups)} thumbs up and {len(downs)} down among {len(rows)} rows: KTO needs both; collect "
            "more ratings"
        )
    return ups, downs


def is_up(row: TokenRow) -> bool:
    """Whether players liked it."""
    return row.reward is not None and row.reward > 0
