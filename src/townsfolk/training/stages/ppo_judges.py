"""Who judges sampled replies: a reward model on PPO's own trunk, and functions of the text.

It refuses to know what is learnt from the rewards.
"""

from collections.abc import Sequence

from townsfolk.training.stages.base import adapter_folder
from townsfolk.training.stages.config import PpoConfig
from townsfolk.training.stages.ppo_experience import Judge
from townsfolk.training.stages.ppo_rollout import Sampled
from townsfolk.training.stages.ppo_trunk import REWARD, Trunk
from townsfolk.training.stages.reward import rewards_of
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.text_rewards import REWARDS, Answer
from townsfolk.types import RewardHead


def judges_of(config: PpoConfig, served: ServedBase, trunk: Trunk) -> list[Judge]:
    """All that the settings name; of a reward model that `judge_hash` has let pass."""
    found = [text_judge(config, served)] if text_weights(config) else []
    return [*found, reward_model(config, served, trunk)] if config.reward_model else found


def judge_hash(config: PpoConfig, served: ServedBase) -> str:
    """The reward model's content hash; "" where the settings name none.

    Raises:
        AdapterError, ConfigError: it is none for this base model.
    """
    return served.check_adapter(adapter_folder(config.reward_model)) if config.reward_model else ""


def text_weights(config: PpoConfig) -> dict[str, float]:
    """Functions of the text that are worth something."""
    weights = {name: float(getattr(config, name)) for name in REWARDS}
    return {name: weight for name, weight in weights.items() if weight}


def text_judge(config: PpoConfig, served: ServedBase) -> Judge:
    """What GRPO learns from too, weighted and summed."""
    weights = text_weights(config)

    def judge(sampled: Sequence[Sampled]) -> list[float]:
        answers = [
            Answer(served.decode(reply), served.decode(row.reply), row.said, row.to_imitate)
            for row, reply in sampled
        ]
        return [sum(weight * REWARDS[name](it) for name, weight in weights.items()) for it in answers]

    return judge


def reward_model(config: PpoConfig, served: ServedBase, trunk: Trunk) -> Judge:
    """How likely players like a reply, in log-odds, by an adapter that is put on the trunk."""
    folder = adapter_folder(config.reward_model)
    trunk.add_reward_model(folder)
    head = RewardHead.of(served.encode)

    def judge(sampled: Sequence[Sampled]) -> list[float]:
        with trunk.using(REWARD):
            return rewards_of(trunk.model, head, sampled, config.batch_size)

    return judge
