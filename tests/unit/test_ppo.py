"""PPO from end to end on a tiny model: rewards rise within bounds, crashed runs go on, astray ones stop."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from tiny_model import write_random_adapter, write_tiny_model
from townsfolk.engine import ModelTokenizer, base_reference
from townsfolk.engine.adapters import read_adapter
from townsfolk.engine.model import open_model
from townsfolk.errors import ConfigError
from townsfolk.training.stages.config import PpoConfig
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows, TokenRow
from townsfolk.types import RewardHead

pytest.importorskip("torch", reason="needs the train extra")
import peft
import torch

from townsfolk.training.stages import base, ppo
from townsfolk.training.stages.ppo_checkpoint import Checkpoint, save_checkpoint
from townsfolk.training.stages.ppo_judges import text_judge
from townsfolk.training.stages.ppo_rollout import Sampled

END = 2
PROMPTS = [(1, 60 + n, 80 + n % 3, 10) for n in range(8)]
TRAIN = [TokenRow(str(prompt), "wren", str(prompt), prompt, 1, (11, END)) for prompt in PROMPTS]
ROWS = Rows(TRAIN, [], "0" * 64)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedBase:
    file = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf", context=64)
    model = open_model(file)
    tokenizer = ModelTokenizer(model.metadata)
    return ServedBase(
        file=file,
        sha256=model.base_hash,
        reference=base_reference("tiny", model.base_hash),
        template_hash="0" * 64,
        opening=(1,),
        encode=tokenizer.encode,
        decode=tokenizer.decode,
        check_adapter=lambda folder: (
            read_adapter(folder, [folder], model.params, model.base_hash).content_hash
        ),
    )


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp()))


def config(folder: Path, **settings: Any) -> PpoConfig:
    told = {
        "max_steps": 8, "prompts": 8, "replies": 4, "batch_size": 32, "max_reply_tokens": 8, "threads": 1,
        "lr": 1e-2, "value_lr": 1e-2, "kl_target": 3.0, "kl_limit": 9.0, "dtype": "float32",
        "schedule": "constant", "warmup": 0, "well_formed": 0, "right_action": 0, "no_echo": 0, "length": 0,
    }  # fmt: skip
    return PpoConfig(persona="wren", dataset=folder, output_dir=folder / "run", **told | settings)


def even_tokens(replies: Sequence[Sampled]) -> list[float]:
    """The toy reward: four times the share of even ids in a reply."""
    return [4 * sum(token % 2 == 0 for token in reply) / len(reply) for _, reply in replies]


def logged(settings: PpoConfig) -> list[dict[str, float]]:
    return [json.loads(line) for line in (settings.output_dir / "log.jsonl").read_text().splitlines()]


def test_reward_rises_near_the_parent_and_replies_stay_distinct(served: ServedBase, tmp_path: Path) -> None:
    told = config(tmp_path, max_steps=20)
    manifest = ppo.run(told, served, ROWS, quiet=True, judges=[even_tokens])
    steps = logged(told)
    assert [it["step"] for it in steps] == list(range(manifest.steps + 1))
    first, last = (fmean(it["reward"] for it in part) for part in (steps[:3], steps[-3:]))
    assert last > first + 0.4
    assert steps[0]["kl"] == 0
    assert all(it["kl"] < told.kl_limit for it in steps)
    assert min(it["distinct_bigrams"] for it in steps) > 0.8
    assert manifest.metrics["reward"] == steps[-1]["reward"]
    assert manifest.metrics["reward_at_start"] == steps[0]["reward"]
    assert (told.output_dir / "curves.png").stat().st_size > 1_000


@pytest.mark.parametrize("bound", [{"kl_limit": 1.0}, {"distinct_floor": 1.0}])
def test_the_first_policy_out_of_bounds_ends_the_run_and_the_one_before_is_kept(
    served: ServedBase, tmp_path: Path, bound: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    told = config(tmp_path, kl_start=0, **bound)
    manifest = ppo.run(told, served, ROWS, quiet=True, judges=[even_tokens])
    steps = logged(told)
    assert manifest.steps == steps[-1]["step"] - 1 < told.max_steps
    assert manifest.metrics["kl"] == steps[-2]["kl"] <= told.kl_limit
    assert manifest.metrics["distinct_bigrams"] >= told.distinct_floor * steps[0]["distinct_bigrams"]
    assert "stopped after step" in capsys.readouterr().err


def test_a_run_that_crashed_goes_on_to_the_same_adapter(served: ServedBase, tmp_path: Path) -> None:
    short = {"max_steps": 4, "save_steps": 2, "batch_size": 16, "passes": 1, "schedule": "cosine"}
    whole = config(tmp_path / "whole", **short)
    expected = ppo.run(whole, served, ROWS, quiet=True, judges=[even_tokens])

    judged = 0

    def crashing(replies: Sequence[Sampled]) -> list[float]:
        nonlocal judged
        judged += 1
        if judged == 4:
            raise KeyboardInterrupt
        return even_tokens(replies)

    broken = config(tmp_path / "broken", **short)
    with pytest.raises(KeyboardInterrupt):
        ppo.run(broken, served, ROWS, quiet=True, judges=[crashing])
    assert len(logged(broken)) == 3  # the third step is done again: the checkpoint was before it
    resumed = ppo.run(broken, served, ROWS, quiet=True, judges=[even_tokens])
    assert resumed.adapter_hash == expected.adapter_hash
    assert [it["reward"] for it in logged(broken)] == [it["reward"] for it in logged(whole)]


def test_a_checkpoint_is_on_the_disk_before_the_one_before_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        synced.append((name, (tmp_path / "checkpoint-1").exists()))
        fsync(descriptor)

    save_checkpoint(tmp_path, Checkpoint(1, {"head": {"bias": torch.zeros(1)}}, {"kl": 1.0}))
    monkeypatch.setattr("os.fsync", noted)
    save_checkpoint(tmp_path, Checkpoint(2, {"head": {"bias": torch.ones(1)}}, {"kl": 2.0}))
    names = ("state.safetensors", "state.json", "whole", tmp_path.name)
    assert synced == [(name, True) for name in names]
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint-2"]


def test_the_reward_model_judges_as_its_adapter_alone_does(served: ServedBase, tmp_path: Path) -> None:
    """Four adapters on one trunk, packed rows: the same as that adapter on a model of its own, row by row."""
    params = open_model(served.file).params
    folder = write_random_adapter(tmp_path / "reward", params, served.sha256, seed=3)
    parent = write_random_adapter(tmp_path / "parent", params, served.sha256, seed=4)
    named = {"reward_model": str(folder), "parent": str(parent)}
    told = config(tmp_path, max_steps=1, passes=1, length=0.5, no_end_penalty=0, **named)
    replies: list[Sampled] = []

    def listening(sampled: Sequence[Sampled]) -> list[float]:
        replies.extend(sampled)
        return [0.0] * len(sampled)

    manifest = ppo.run(told, served, ROWS, quiet=True, judges=[listening])
    assert manifest.parent == served.check_adapter(parent)
    assert manifest.reward_model == served.check_adapter(folder)
    assert "reward_model" not in manifest.settings  # a folder of this machine
    assert logged(told)[0]["kl"] == 0
    judge = text_judge(told, served)
    model = peft.PeftModel.from_pretrained(base.load_base(served, told), str(folder)).eval()
    head = RewardHead.of(served.encode)
    first = replies[: told.prompts * told.replies]
    texts = [torch.tensor([row.prompt + reply]) for row, reply in first]
    with torch.no_grad():
        rewards = [float(head(model(input_ids=ids).logits[0, -1])) for ids in texts]
    assert logged(told)[0]["reward"] == pytest.approx(fmean(rewards) + fmean(judge(first)), abs=1e-3)


def test_replies_that_players_disliked_are_not_paid_for(served: ServedBase, tmp_path: Path) -> None:
    judge = text_judge(config(tmp_path, right_action=2), served)
    unjudged = TRAIN[0]
    rows = [unjudged, *(replace(unjudged, reward=reward) for reward in (1.0, 0.0, -1.0))]
    assert judge([(row, row.reply) for row in rows]) == [2, 2, 0, 0]


def test_a_run_needs_prompts_and_somebody_who_judges(served: ServedBase, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reward_model"):
        ppo.run(config(tmp_path), served, ROWS, quiet=True)
    with pytest.raises(ConfigError, match="no rows of wren"):
        ppo.run(config(tmp_path), served, Rows([], [], ""), quiet=True, judges=[even_tokens])
