"""GRPO end to end on a tiny model: replies are drawn and rewarded by their text."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from judged_rows import rated_rows
from tiny_training import config_for, write_served
from townsfolk.errors import ConfigError
from townsfolk.training.stages.config import GrpoConfig
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows

pytest.importorskip("torch", reason="needs the train extra")

from townsfolk.training.stages import grpo
from townsfolk.training.stages.run import read_log
from townsfolk.training.stages.text_rewards import REWARDS


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBase]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(folder))
        yield write_served(folder)[0]


def config(served: ServedBase, folder: Path, **settings: float) -> GrpoConfig:
    told = {"max_steps": 6, "batch_size": 8, "max_reply_tokens": 8, "lr": 5e-2, "beta": 0.0}
    return GrpoConfig(**(config_for(served, folder).model_dump(exclude={"act_weight"}) | told | settings))


def test_replies_are_drawn_and_rewarded(served: ServedBase, tmp_path: Path) -> None:
    rows = [replace(row, reply=(*served.encode("hello there"), 2), said="the tree") for row in rated_rows(8)]
    told = config(served, tmp_path)
    manifest = grpo.run(told, served, Rows(rows, [], "0" * 64), quiet=True)
    assert (manifest.stage, manifest.steps, manifest.rows) == ("grpo", 6, 8)
    lines = [line for line in read_log(tmp_path / "run" / "log.jsonl") if "reward" in line]
    assert len(lines) == 6
    for line in lines:
        parts = sum(getattr(told, name) * line[f"rewards/{name}/mean"] for name in REWARDS)
        assert line["reward"] == pytest.approx(parts, abs=1e-3)
        assert 1 <= line["completions/mean_length"] <= 8
    assert manifest.adapter_hash == served.check_adapter(tmp_path / "run" / "adapter")


def test_groups_are_whole_and_rows_needed(served: ServedBase, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size 8 must be a multiple of replies 3"):
        config(served, tmp_path, replies=3)
    with pytest.raises(ConfigError, match="no rows of guard"):
        grpo.run(config(served, tmp_path), served, Rows([], [], "0" * 64), quiet=True)
