"""A candidate and what serves, reply against reply, by a reward model on contexts nobody trained on."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from townsfolk.config import Settings
from townsfolk.engine import Engine
from townsfolk.promotion.gate import Duels
from townsfolk.serving.rehearsal import Rehearsal
from townsfolk.serving.rewards import RewardModel
from townsfolk.training.data.rows import DataRow

OURS, THEIRS = "candidate", ("parent", "base_aided")
"""Who is who in a report of `townsfolk eval`: without a parent, the base model serves, aided."""


def duels(
    settings: Settings, report: Mapping[str, Any], rows: Iterable[DataRow], reward_model: Path
) -> Duels:
    """Count on how many of `rows` the candidate's reply has the higher reward.

    Args:
        report: of `townsfolk eval`, with both replies to each row by its id.
        reward_model: the folder of its adapter.

    Raises:
        ConfigError, ModelError, AdapterError: what can't be used, and the remedy.
    """
    replies = {line["id"]: line["replies"] for line in report["replies"]}
    rehearsal, gains = Rehearsal.open(settings), []
    with Engine.open(settings.engine) as engine:
        rewards = RewardModel.load(engine, reward_model, [reward_model])
        for row in rows:
            if own := replies.get(row.id):
                theirs = next(own[who] for who in THEIRS if who in own)
                gains.append(_gain(rewards, engine, rehearsal.row(row).prompt, own[OURS], theirs))
    won, lost = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    return Duels(won, lost, len(gains) - won - lost)


def _gain(rewards: RewardModel, engine: Engine, prompt: tuple[int, ...], ours: str, theirs: str) -> float:
    if ours == theirs:
        return 0.0
    tokenizer = engine.tokenizer
    scores = [rewards.score(prompt, [*tokenizer.encode(reply), tokenizer.eos_id]) for reply in (ours, theirs)]
    return scores[0] - scores[1]
