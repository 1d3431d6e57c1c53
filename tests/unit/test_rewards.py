"""The reward model in service, on a tiny random model."""

from collections.abc import Iterator

import numpy as np
import pytest

from tiny_model import write_random_adapter, write_tiny_model
from townsfolk.config import EngineSettings
from townsfolk.engine import Engine
from townsfolk.errors import AdapterError
from townsfolk.serving.rewards import RewardModel
from townsfolk.types import RewardHead

PROMPT = [1, 20, 21, 22]
REPLIES = ("the hell", "hello there", "in the ring")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    model = write_tiny_model(tmp_path_factory.mktemp("rewards") / "tiny.gguf")
    with Engine.open(EngineSettings(model=model, threads=1, kv_tokens=2_048, max_context=200)) as engine:
        yield engine


@pytest.fixture(scope="module")
def rewards(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    folder = tmp_path_factory.mktemp("adapters") / "reward"
    write_random_adapter(folder, engine.model, engine.base_hash)
    return RewardModel.load(engine, folder, [folder.parent])


def test_the_head_is_the_first_tokens_that_differ() -> None:
    spelled = {" good": [5, 7, 8, 8, 9], " bad": [5, 6, 3, 9]}
    assert RewardHead.of(spelled.__getitem__) == RewardHead(good=7, bad=6)
    assert RewardHead(0, 2)(np.array([[3.0, 9.0, 1.0], [0.0, 9.0, 4.0]])).tolist() == [2.0, -4.0]


def test_a_reply_scores_what_its_last_logits_say(engine: Engine, rewards: RewardModel) -> None:
    reply = [30, 31, 2]
    logits = engine.score([*PROMPT, *reply], rewards.adapter)[-1]
    good, bad = engine.tokenizer.encode("gb")
    assert rewards.score(PROMPT, reply) == pytest.approx(logits[good] - logits[bad], abs=1e-3)


def test_the_best_reply_scores_highest(engine: Engine, rewards: RewardModel) -> None:
    encode, end = engine.tokenizer.encode, engine.tokenizer.eos_id
    scores = [rewards.score(PROMPT, [*encode(reply), end]) for reply in REPLIES]
    assert rewards.best(PROMPT, REPLIES) == int(np.argmax(scores))
    assert rewards.best(PROMPT, [REPLIES[1]] * 2) == 0


def test_a_reward_model_that_was_unloaded_is_named(engine: Engine) -> None:
    with pytest.raises(AdapterError, match="0000"):
        RewardModel(engine, "0" * 64).score(PROMPT, [2])
