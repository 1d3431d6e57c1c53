"""A reward model: a LoRA adapter whose scalar is read off the output embeddings (types/reward.py).

The reward of a reply is the log-odds that players like it, so one loss serves all they tell: the binary
cross-entropy of
    reward(reply)                       with (1 + row.reward) / 2, for a reply judged alone
    reward(reply) - reward(rejected)    with 1, for a pair (Bradley and Terry, 1952; Ouyang et al., 2022)

It is a Trainer of transformers: TRL's RewardTrainer takes pairs alone, and a head with a matrix of its own,
which the engine could not score with.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import gt
from statistics import fmean
from typing import Any

import torch
import transformers
from sklearn.metrics import roc_auc_score

from townsfolk.errors import ConfigError
from townsfolk.training.stages import trainers
from townsfolk.training.stages.config import RewardConfig
from townsfolk.training.stages.judged import by_players, is_up, pairs
from townsfolk.training.stages.packing import ATTENTION, Pack, pack, target_logits
from townsfolk.training.stages.run import Run
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Ids, Rows, TokenRow, sharing
from townsfolk.types import RewardHead
from townsfolk.types.manifest import Manifest

Text = tuple[TokenRow, Ids]
"""A reply to a row's prompt."""


def run(config: RewardConfig, served: ServedBase, rows: Rows, quiet: bool = False) -> Manifest:
    """Train as `config` says and write the adapter; how it judges held-out rows is in its manifest.

    Raises:
        ConfigError: no row was judged, or the settings don't fit this machine or folder.
        AdapterError: the parent does not fit, or what was learnt can't be served.
    """
    judged = [row for row in rows.train if row.rejected or row.reward is not None]
    if not judged:
        raise ConfigError(
            f"none of {len(rows.train)} rows of {config.persona} was judged: a reward model learns from rows "
            "with `reward` or `rejected`; collect ratings first"
        )
    head = RewardHead.of(served.encode)

    def make(model: Any, own: Run) -> RewardTrainer:
        _prepare(model)
        return RewardTrainer(model, config, own, judged, head)

    def measure(model: Any) -> dict[str, float]:
        model.eval()
        return held_out_figures(
            lambda texts: rewards_of(model, head, texts, config.batch_size), rows.held_out
        )

    return trainers.train(config, served, replace(rows, train=judged), make, measure, quiet=quiet)


def _prepare(model: Any) -> None:
    """Raises ConfigError: the adapter is one that only applies to replies."""
    if model.active_peft_config.alora_invocation_tokens:
        raise ConfigError(
            "a reward model reads the prompt as well: set activated false, or go on from another parent"
        )
    model.get_base_model().set_attn_implementation(ATTENTION)


class RewardTrainer(transformers.Trainer):  # type: ignore[misc]
    """Binary cross-entropy of rewards, on packs of replies."""

    def __init__(
        self, model: Any, config: RewardConfig, own: Run, judged: Sequence[TokenRow], head: RewardHead
    ) -> None:
        self._head = head
        super().__init__(
            model=model,
            args=trainers.arguments(config, own.checkpoints, transformers.TrainingArguments),
            data_collator=self._collate,
            train_dataset=judged,
            callbacks=[trainers.RunLog(own)],
        )
        self.model_accepts_loss_kwargs = False  # the loss is a mean: the passes of one step are averaged

    def _collate(self, rows: Sequence[TokenRow]) -> dict[str, Any]:
        """All replies, then the rejected ones of those rows that have one."""
        paired = [place for place, row in enumerate(rows) if row.rejected]
        texts = [(row, row.reply) for row in rows] + [(rows[place], rows[place].rejected) for place in paired]
        return {
            "pack": judged_pack(texts, self._head),
            "paired": torch.tensor(paired, dtype=torch.long),
            "liked": torch.tensor([_liked(row) for row in rows]),
            "weights": torch.tensor([row.weight for row in rows]),
        }

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Weighted mean over the rows."""
        liked, weights = inputs["liked"], inputs["weights"]  # [rows]
        rewards = self._head(target_logits(model, inputs["pack"].to(self.args.device)))  # [rows + paired]
        odds = rewards[: len(liked)].index_add(0, inputs["paired"], -rewards[len(liked) :])
        losses = torch.nn.functional.binary_cross_entropy_with_logits(odds, liked, reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        return (loss, None) if return_outputs else loss


def _liked(row: TokenRow) -> float:
    """How likely its reply is liked; in a pair, liked better."""
    return 1.0 if row.rejected or row.reward is None else (1 + row.reward) / 2


def judged_pack(texts: Sequence[Text], head: RewardHead) -> Pack:
    """Prompts and replies in one pack whose only logits are those after each reply's end."""
    return pack(
        [replace(row, prompt=row.prompt + reply, reply=(head.good,), rejected=()) for row, reply in texts]
    )


def rewards_of(model: Any, head: RewardHead, texts: Sequence[Text], size: int) -> list[float]:
    """Rewards of replies, `size` in a pass; `model` has the attention ATTENTION."""
    found: list[float] = []
    for start in range(0, len(texts), size):
        rows, replies = zip(*texts[start : start + size], strict=True)
        own = judged_pack([*zip(sharing(rows), replies, strict=True)], head).to(model.device)
        with torch.no_grad():
            found += head(target_logits(model, own)).tolist()
    return found


def held_out_figures(
    rewards: Callable[[Sequence[Text]], Sequence[float]], rows: Sequence[TokenRow]
) -> dict[str, float]:
    """How well rewards order what players judged; a figure that no row tells of is left out.

    Returns:
        pair_accuracy: share of pairs whose better reply has the higher reward.
        auc: how likely a reply with a thumb up has a higher reward than one with a thumb down; hints and
            broken rules are left out, as where the gate counts the thumbs that it rests on.
    """
    figures = {}
    if paired := pairs(rows):
        better = rewards([(row, row.reply) for row in paired])
        worse = rewards([(row, row.rejected) for row in paired])
        figures["pair_accuracy"] = fmean(map(gt, better, worse))
    thumbs = by_players(rows)
    ups = [is_up(row) for row in thumbs]
    if {True, False} <= {*ups}:
        figures["auc"] = float(roc_auc_score(ups, rewards([(row, row.reply) for row in thumbs])))
    return figures
