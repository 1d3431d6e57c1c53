"""Whole nights on a tiny model: every step is the command that it is in earnest.

Its authors have made the villager greet at length, and its players like it short.
"""

import json
import random
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import run
from typing import Any, Literal

import pytest
import yaml
from typer.testing import CliRunner

from rated_turns import rate_turn
from tiny_model import tiny_settings
from townsfolk.cli import app
from townsfolk.config import Settings, shipped
from townsfolk.demo.children import free_port
from townsfolk.promotion.registry import ADAPTER, EVALUATION, MANIFEST, VERDICT, Registry
from townsfolk.serving import Rooms
from townsfolk.types import Manifest

pytest.importorskip("torch", reason="needs the train extra")
LONG, SHORT = "Hello, hello, hello, hello!", "Hello!"
HEARD = ("apple", "bread", "chest", "door", "gate", "hill", "lake", "map", "road", "sand", "sign", "wall")
OTHERS = {"builder": "Brick by brick.", "guard": "Who goes there?", "trader": "A fair price, friend."}
RECIPE = {
    "persona": "explorer",
    "dataset": "the night's own",
    "output_dir": "the night's own",
    "threads": 1,
    "device": "cpu",
    "lr": 1e-2,
}
RECIPES: dict[str, dict[str, float]] = {
    "sft": {"max_steps": 60},
    "reward": {"max_steps": 24},
    "kto": {"max_steps": 50},
    "ppo": {"max_steps": 2, "prompts": 2, "replies": 2, "max_reply_tokens": 8},
}
LENIENT = {
    "gate_alpha": 0.2,
    "gate_margin": 1,
    "gate_max_kl": 10,
    "gate_max_slowdown": 100,
    "trial_turns": 0,
}
"""For few scenes, as far from its parent as a tiny model goes, on a machine that may be busy."""


@dataclass(frozen=True)
class Town:
    """A service's settings, the version that serves, and the file of settings that commands are told."""

    settings: Settings
    incumbent: str
    file: Path

    @property
    def registry(self) -> Registry:
        return Registry.of(self.settings.promotion)

    def command(self, *words: str) -> None:
        """What it reads comes with the package or is in the settings, wherever it is started."""
        self.file.write_text(self.settings.model_dump_json())
        elsewhere = self.file.parent / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        told = [sys.executable, "-m", "townsfolk.cli", *words, "--config", str(self.file)]
        assert run(told, cwd=elsewhere, check=False).returncode == 0
        assert not any(elsewhere.iterdir())

    def night(self) -> tuple[dict[str, Any], Manifest]:
        """The report of a night, and the manifest of what it has learnt."""
        self.command("nightly", "--persona", "explorer")
        (file,) = (self.settings.nightly.home / "explorer").glob("*/report.json")
        learnt = file.parent / "learn" / "run" / MANIFEST
        return json.loads(file.read_text()), Manifest.model_validate_json(learnt.read_bytes())


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One that each test has a copy of."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("town")
        patch.setenv("HOME", str(folder))
        yield found(folder)


def found(folder: Path) -> Town:
    own = tiny_settings(folder)
    write_exchanges(folder / "data" / "dialogue")
    for stage, told in RECIPES.items():
        (folder / f"{stage}.yaml").write_text(
            yaml.safe_dump(RECIPE | {"model": str(own.engine.model)} | told)
        )
    invoke("data", "build", "dataset", "--data", "data", "--names", str(shipped("data") / "names"), at=folder)
    invoke("train", "sft", "sft.yaml", "--dataset=dataset", "--output_dir=greets-at-length", at=folder)
    night = {"recipes": folder, "data": (folder / "data",), "scenarios": 8}
    unheard = {"port": free_port(socket.SOCK_STREAM)}  # no service is to be told
    settings = own.model_copy(
        update={
            "nightly": own.nightly.model_copy(update=night),
            "http": own.http.model_copy(update=unheard),
        }
    )
    rooms = Rooms.open(settings)
    rate(rooms)
    rooms.close()
    return Town(settings, go_live(settings, folder / "greets-at-length"), folder / "settings.yaml")


def write_exchanges(folder: Path) -> None:
    """Of the villager, and of others from whom its voice is told apart: else by all that is shipped."""
    folder.mkdir(parents=True)
    own = [*[LONG] * 120, *[SHORT] * 6]
    others = {persona: [line] * 6 for persona, line in OTHERS.items()}
    for persona, replies in {"explorer": own, **others}.items():
        lines = [
            {"said": said(f"{persona}{number}"), "reply": reply, "topic": "smalltalk"}
            for number, reply in enumerate(replies)
        ]
        (folder / f"{persona}.yaml").write_text(yaml.safe_dump(lines))


def said(seed: str) -> str:
    return " ".join(random.Random(seed).sample(HEARD, 4))


def invoke(*words: str, at: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(at)
        assert CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False).exit_code == 0


def rate(rooms: Rooms) -> None:
    """Thumbs of twenty players."""
    for number in range(0, 80, 2):
        player = f"sam{number // 4}"
        rate_turn(rooms.store, number, player, LONG, -1, said(f"rated{number}"))
        rate_turn(rooms.store, number + 1, player, SHORT, 1, said(f"rated{number + 1}"))


def go_live(settings: Settings, trained: Path) -> str:
    version = Manifest.model_validate_json((trained / MANIFEST).read_bytes()).adapter_hash
    registry = Registry.of(settings.promotion)
    registry.add("explorer", trained, version)
    registry.promote("explorer", version, 1)
    registry.confirm("explorer", version)
    return version


def copied(town: Town, folder: Path, stage: Literal["kto", "ppo"], **promotion: float) -> Town:
    """The town, with a registry and nights in `folder`."""
    nights = {"home": folder / "nights", "stage": stage}
    versions = shutil.copytree(town.registry.folder, folder / "registry")
    settings = town.settings.model_copy(
        update={
            "nightly": town.settings.nightly.model_copy(update=nights),
            "promotion": town.settings.promotion.model_copy(update={"registry_dir": versions, **promotion}),
        }
    )
    return Town(settings, town.incumbent, folder / "settings.yaml")


def test_what_players_like_better_is_promoted_and_can_be_taken_back(founded: Town, tmp_path: Path) -> None:
    town = copied(founded, tmp_path, "kto", **LENIENT)
    night, learnt = town.night()
    assert night["outcome"] == "promoted"
    assert list(night["steps"]) == ["collect", "build", "reward", "learn", "examine", "gate", "promote"]
    assert (learnt.stage, learnt.parent) == ("kto", town.incumbent)
    record, folder = town.registry.record("explorer"), town.registry.known("explorer", learnt.adapter_hash)
    assert (record.live, record.earlier[-1]) == (learnt.adapter_hash, town.incumbent)
    assert {file.name for file in folder.iterdir()} == {ADAPTER, MANIFEST, EVALUATION, VERDICT}
    assert json.loads((folder / VERDICT).read_text())["passed"]

    town.command("rollback", "explorer")
    assert town.registry.record("explorer").live == town.incumbent


def test_a_night_by_ppo_learns_from_its_reward_model(founded: Town, tmp_path: Path) -> None:
    town = copied(founded, tmp_path, "ppo")
    night, learnt = town.night()
    assert list(night["steps"]) == ["collect", "build", "reward", "learn", "examine", "gate"]
    assert night["outcome"].startswith("the gate refuses")  # two steps prove nothing
    assert (learnt.stage, learnt.parent) == ("ppo", town.incumbent)
    assert learnt.reward_model.startswith(night["steps"]["reward"]["figures"]["adapter"])
    changed = town.registry.history()[-1]
    assert (town.registry.record("explorer").live, changed.kind) == (town.incumbent, "refused")
    assert changed.version == learnt.adapter_hash
