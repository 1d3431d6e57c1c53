"""Group relative policy optimisation (Shao et al., 2024, arXiv:2402.03300), on TRL's GRPOTrainer.

Several replies to a prompt are drawn from the model as it is; those that are better than the others of their
group become likelier. The rewards are functions of the text (text_rewards.py), so no reward model is needed.
The reference is the parent adapter, frozen: TRL keeps a copy of what the adapter was at the beginning.
"""

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import trl

from townsfolk.errors import ConfigError
from townsfolk.training.stages import base, trainers
from townsfolk.training.stages.config import GrpoConfig
from townsfolk.training.stages.run import Run
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.text_rewards import REWARDS, Answer
from townsfolk.training.stages.tokens import Rows, TokenRow
from townsfolk.types.manifest import Manifest


def run(config: GrpoConfig, served: ServedBase, rows: Rows, quiet: bool = False) -> Manifest:
    """Train as `config` says and write the adapter; what a crash cut short is continued.

    Raises:
        ConfigError: there are no rows, or the settings don't fit this machine or folder.
        AdapterError: the parent does not fit, or what was learnt can't be served.
    """
    if not rows.train:
        raise ConfigError(f"the dataset {config.dataset} has no rows of {config.persona}: check `persona`")

    def make(model: Any, own: Run) -> TokenGrpoTrainer:
        return TokenGrpoTrainer(
            model=model,
            reward_funcs=[_batched(name, served) for name in REWARDS],
            args=_arguments(config, own),
            train_dataset=datasets.Dataset.from_list([_example(row, served) for row in rows.train]),
            processing_class=base.load_tokenizer(served),
            callbacks=[trainers.RunLog(own)],
        )

    return trainers.train(config, served, rows, make, quiet=quiet)


class TokenGrpoTrainer(trl.GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer on prompts that are tokens already."""

    def _tokenize_prompts(self, prompts: list[list[int]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return prompts, None, {}

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        """TRL's goes on drawing where its last epoch ended, which a run that is continued has not seen: each
        epoch is drawn by its number instead.
        """
        sampler = super()._get_train_sampler(dataset)
        sampler.set_epoch = lambda epoch: sampler.generator.manual_seed(self.args.seed + epoch)
        return sampler


def _arguments(config: GrpoConfig, own: Run) -> Any:
    return trainers.arguments(
        config,
        own.checkpoints,
        trl.GRPOConfig,
        gradient_checkpointing=False,
        num_generations=config.replies,
        max_completion_length=config.max_reply_tokens,
        temperature=config.temperature,
        beta=config.beta,
        reward_weights=[getattr(config, name) for name in REWARDS],
    )


def _example(row: TokenRow, served: ServedBase) -> dict[str, Any]:
    return {
        "prompt": list(row.prompt),
        "wanted": served.decode(row.reply),
        "said": row.said,
        "to_imitate": row.to_imitate,
    }


def _batched(name: str, served: ServedBase) -> Callable[..., list[float]]:
    """A reward as TRL calls it: for all replies at once, under its own name in the log."""

    def rewards(
        completion_ids: Sequence[Sequence[int]],
        wanted: Sequence[str],
        said: Sequence[str],
        to_imitate: Sequence[bool],
        **_: Any,
    ) -> list[float]:
        answers = map(Answer, map(served.decode, completion_ids), wanted, said, to_imitate)
        return [REWARDS[name](answer) for answer in answers]

    rewards.__name__ = name
    return rewards
