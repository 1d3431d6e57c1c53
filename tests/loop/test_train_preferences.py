"""Learning from what players judged, end to end on a tiny model: reward model, KTO, DPO, chained."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from judged_rows import END, authored_rows, paired_rows, rated_rows
from tiny_training import config_for, rows_of, write_served
from townsfolk.config import EngineSettings
from townsfolk.engine import Engine
from townsfolk.errors import ConfigError
from townsfolk.serving.rewards import RewardModel
from townsfolk.training.stages.config import DpoConfig, KtoConfig, RewardConfig, RunConfig
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows, TokenRow
from townsfolk.types import RewardHead
from townsfolk.types.manifest import Manifest

pytest.importorskip("torch", reason="needs the train extra")
import torch

from townsfolk.training.stages import base, dpo, kto, reward, sft
from townsfolk.training.stages.preference import Example
from townsfolk.training.stages.run import Run, read_log

Config = TypeVar("Config", bound=RunConfig)
BETA = 0.3


@dataclass(frozen=True)
class Home:
    """A home folder with a tiny base model."""

    folder: Path
    served: ServedBase

    def config(self, kind: type[Config], folder: Path, **settings: Any) -> Config:
        told = config_for(self.served, folder).model_dump(exclude={"act_weight"})  # of imitation alone
        return kind(**(told | {"max_steps": 24} | settings))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(folder))
        yield Home(folder, write_served(folder)[0])


@pytest.fixture(scope="module")
def parent(home: Home) -> Manifest:
    """Of a finished run of supervised fine-tuning, in `home.folder / "parent"`."""
    config = config_for(home.served, home.folder, output_dir=home.folder / "parent", max_steps=4)
    return sft.run(config, home.served, rows_of(rated_rows(24)), quiet=True)


def adapted(home: Home, config: RunConfig) -> Any:
    """The model with the adapter that the run of `config` left."""
    told = config.model_copy(update={"parent": str(config.output_dir)})
    model, _ = base.load_adapted(home.served, told)
    return model.eval()


def log_prob(model: Any, row: TokenRow, reply: tuple[int, ...]) -> float:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row.prompt + reply])).logits[0, len(row.prompt) - 1 : -1]
    return float(logits.log_softmax(-1)[torch.arange(len(reply)), torch.tensor(reply)].sum())


def test_the_reward_model_orders_unseen_replies_and_scores_the_same_in_service(
    home: Home, tmp_path: Path
) -> None:
    held_out = [*rated_rows(16, seed=1), *paired_rows(16, seed=1)]
    rows = Rows([*rated_rows(24), *paired_rows(24)], held_out, "0" * 64)
    config = home.config(RewardConfig, tmp_path, batch_size=8)
    manifest = reward.run(config, home.served, rows, quiet=True)
    assert (manifest.stage, manifest.rows) == ("reward", 48)
    assert (manifest.metrics["pair_accuracy"], manifest.metrics["auc"]) == (1, 1)

    model, head = adapted(home, config), RewardHead.of(home.served.encode)
    with Engine.open(EngineSettings(model=home.served.file, threads=1, runner="onnx")) as engine:
        serving = RewardModel.load(engine, config.output_dir / "adapter", [tmp_path])
        assert serving.adapter == manifest.adapter_hash
        for row in held_out[::4]:
            with torch.no_grad():
                expected = float(head(model(input_ids=torch.tensor([row.prompt + row.reply])).logits[0, -1]))
            assert serving.score(row.prompt, row.reply) == pytest.approx(expected, abs=0.3, rel=0.05)


def test_kto_leaves_its_parent_for_what_is_liked(
    home: Home, parent: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = home.config(KtoConfig, tmp_path, parent=str(home.folder / "parent"))
    manifest = kto.run(config, home.served, Rows(rated_rows(32), [], "0" * 64), quiet=True)
    assert not capsys.readouterr().out  # which belongs to --json
    assert (manifest.stage, manifest.parent) == ("kto", parent.adapter_hash)
    lines = [line for line in read_log(config.output_dir / "log.jsonl") if "kl" in line]
    assert lines[0]["kl"] == pytest.approx(0, abs=1e-3)
    assert lines[0]["rewards/margins"] == pytest.approx(0, abs=1e-3)
    assert lines[-1]["rewards/margins"] > 0.5
    assert {path.name for path in (config.output_dir / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    before = adapted(home, config.model_copy(update={"output_dir": home.folder / "parent"}))
    after = adapted(home, config)
    for row, sign in zip(rated_rows(4, seed=1), (-1, 1, -1, 1), strict=True):
        assert sign * (log_prob(after, row, row.reply) - log_prob(before, row, row.reply)) > 0


@pytest.mark.parametrize(("recalled", "taken"), [(0.0, 0), (0.5, 16), (5.0, 40)])
def test_kto_recalls_what_nobody_judged(home: Home, tmp_path: Path, recalled: float, taken: int) -> None:
    config = home.config(KtoConfig, tmp_path, recalled=recalled, max_steps=24 if taken else 1)
    rows = Rows(rated_rows(32) + authored_rows(40), [], "0" * 64)
    assert kto.run(config, home.served, rows, quiet=True).rows == 32 + taken
    if taken:
        model = adapted(home, config)
        for row in authored_rows(4, seed=1):
            own = log_prob(model, row, row.reply)
            with model.disable_adapter():
                assert own > log_prob(model, row, row.reply)


def test_a_third_of_what_kto_recalls_turns_hidden_orders_down(home: Home, tmp_path: Path) -> None:
    rows = rated_rows(8) + authored_rows(40)
    rows += [replace(row, reply=(90, 91, END), adverse=True) for row in authored_rows(4, seed=2)]
    config = home.config(KtoConfig, tmp_path, recalled=1.5, max_steps=24)
    assert kto.run(config, home.served, Rows(rows, [], "0" * 64), quiet=True).rows == 20
    model = adapted(home, config)
    for row in rows[-4:]:
        own = log_prob(model, row, row.reply)
        with model.disable_adapter():
            assert own > log_prob(model, row, row.reply)


def test_kto_weighs_thumbs_up_and_down_apart(home: Home, tmp_path: Path) -> None:
    rows = rated_rows(32)

    def gains(up: float, down: float) -> tuple[float, float]:
        """How much likelier replies with thumbs up and down have become, in all."""
        weights = {"desirable_weight": up, "undesirable_weight": down}
        config = home.config(KtoConfig, tmp_path / f"{up}", **weights)
        kto.run(config, home.served, Rows(rows, [], "0" * 64), quiet=True)
        model = adapted(home, config)
        after = np.array([log_prob(model, row, row.reply) for row in rows])
        with model.disable_adapter():
            gained = after - [log_prob(model, row, row.reply) for row in rows]
        return float(gained[1::2].sum()), float(gained[::2].sum())

    (liked, spared), (ignored, disliked) = gains(4, 0.01), gains(0.01, 4)
    assert liked > max(ignored, 0)
    assert disliked < min(spared, 0)


def test_dpo_learns_pairs_and_ratings_of_one_prompt(home: Home, tmp_path: Path) -> None:
    config = home.config(DpoConfig, tmp_path)
    manifest = dpo.run(config, home.served, Rows(paired_rows(24), [], "0" * 64), quiet=True)
    assert (manifest.stage, manifest.rows, manifest.parent) == ("dpo", 24, "")
    model = adapted(home, config)
    for row in paired_rows(4, seed=1):
        margin = log_prob(model, row, row.reply) - log_prob(model, row, row.rejected)
        with model.disable_adapter():
            assert margin > log_prob(model, row, row.reply) - log_prob(model, row, row.rejected)


def strayed(
    home: Home, config: RunConfig, trainer: Any, rows: list[TokenRow], others: list[tuple[int, ...]]
) -> tuple[Any, Any, Any]:
    """Losses of `trainer` once its adapter has left its parent, the base model; and the log ratios of replies
    and of others, each worked out alone by a model that knows no packs.
    """
    config = config.model_copy(update={"beta": BETA})
    examples = [Example(row, other, 1.0) for row, other in zip(rows, others, strict=True)]
    model, plain = (base.load_adapted(home.served, config)[0] for _ in range(2))
    learner = trainer(model, config, Run(config, quiet=True), examples, quiet=True)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(0, 0.05)
        losses = learner.losses(model, learner.train_dataset)
    plain.load_state_dict(model.state_dict())
    plain.eval()
    own = [ratio(plain, row, row.reply) for row in rows]
    theirs = [ratio(plain, row, other) for row, other in zip(rows, others, strict=True)]
    return losses.numpy(), np.array(own), np.array(theirs)


def ratio(model: Any, row: TokenRow, reply: tuple[int, ...]) -> float:
    """How much likelier a reply is than by the base model, in nats."""
    with model.disable_adapter():
        before = log_prob(model, row, reply)
    return log_prob(model, row, reply) - before


def sigmoid(values: Any) -> Any:
    return 1 / (1 + np.exp(-values))


def test_the_loss_of_kto_is_that_of_the_paper(home: Home, tmp_path: Path) -> None:
    rows = rated_rows(6)
    found, own, others = strayed(
        home, home.config(KtoConfig, tmp_path), kto.KtoTrainer, rows, [rows[n - 1].reply for n in range(6)]
    )
    signs = np.array([row.reward for row in rows], dtype=float)
    gains = BETA * signs * (own - max(0.0, others.mean()))
    np.testing.assert_allclose(found, 1 - sigmoid(gains), rtol=1e-3)
    assert np.abs(own).max() > 0.1


def test_the_loss_of_dpo_is_that_of_the_paper(home: Home, tmp_path: Path) -> None:
    rows = paired_rows(6)
    found, own, others = strayed(
        home, home.config(DpoConfig, tmp_path), dpo.DpoTrainer, rows, [row.rejected for row in rows]
    )
    np.testing.assert_allclose(found, -np.log(sigmoid(BETA * (own - others))), rtol=1e-3)
    assert np.abs(own - others).max() > 0.1


def test_what_nothing_can_be_learnt_from_is_refused(home: Home, tmp_path: Path) -> None:
    ups = Rows(rated_rows(8)[1::2], [], "0" * 64)
    with pytest.raises(ConfigError, match="4 thumbs up and 0 down"):
        kto.run(home.config(KtoConfig, tmp_path), home.served, ups, quiet=True)
    with pytest.raises(ConfigError, match="no pairs among 4 rows of guard"):
        dpo.run(home.config(DpoConfig, tmp_path), home.served, ups, quiet=True)
    with pytest.raises(ConfigError, match="none of 0 rows"):
        reward.run(home.config(RewardConfig, tmp_path), home.served, Rows([], [], "0" * 64), quiet=True)
    assert not (tmp_path / "run").exists()
