"""A whole night on a tiny model: every step is the command that it is in earnest."""

import json
import sys
from pathlib import Path
from subprocess import run

import pytest
import yaml

from rated_turns import rate_turn
from tiny_model import tiny_settings, write_random_adapter
from townsfolk.config import Settings
from townsfolk.promotion.registry import ADAPTER, Registry
from townsfolk.serving import Rooms

pytest.importorskip("torch", reason="needs the train extra")
RECIPE = {
    "persona": "explorer",
    "dataset": "the night's own",
    "output_dir": "the night's own",
    "max_steps": 2,
    "threads": 1,
    "device": "cpu",
}


def settings_of(folder: Path) -> Settings:
    own, recipes = tiny_settings(folder), folder / "recipes"
    recipes.mkdir()
    for stage in ("reward", "kto"):
        (recipes / f"{stage}.yaml").write_text(yaml.safe_dump(RECIPE))
    night = {"home": folder / "nights", "recipes": recipes, "scenarios": 2}
    return own.model_copy(update={"nightly": own.nightly.model_copy(update=night)})


def rate(rooms: Rooms) -> None:
    """Thumbs of ten players, who like it short."""
    for number in range(60):
        liked = number % 2 == 0
        reply = "Hello!" if liked else "Hello, hello, and hello again to you!"
        rate_turn(rooms.store, number, f"sam{number % 10}", reply, 1 if liked else -1)


def put_live(rooms: Rooms, folder: Path) -> str:
    """An incumbent of random weights."""
    write_random_adapter(folder / ADAPTER, rooms.engine.model, rooms.engine.base_hash)
    version = rooms.engine.load_adapter(folder / ADAPTER, [folder]).content_hash
    registry = rooms.promotions.registry
    registry.add("explorer", folder, version)
    registry.promote("explorer", version, 1)
    registry.confirm("explorer", version)
    return version


def test_every_step_of_a_night_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings, config = settings_of(tmp_path), tmp_path / "settings.yaml"
    config.write_text(settings.model_dump_json())
    rooms = Rooms.open(settings)
    rate(rooms)
    incumbent = put_live(rooms, tmp_path / "incumbent")
    rooms.close()

    command = ["nightly", "--persona", "explorer", "--config", str(config)]
    elsewhere = tmp_path / "elsewhere"  # what a night reads comes with the package, wherever it is started
    elsewhere.mkdir()
    assert run([sys.executable, "-m", "townsfolk.cli", *command], cwd=elsewhere, check=False).returncode == 0
    assert not any(elsewhere.iterdir())

    (file,) = (tmp_path / "nights" / "explorer").glob("*/report.json")
    night = json.loads(file.read_text())
    assert list(night["steps"]) == ["collect", "build", "reward", "learn", "examine", "gate"]
    assert night["outcome"].startswith("the gate refuses")  # two steps of random weights prove nothing
    learnt = json.loads((file.parent / "learn" / "run" / "manifest.json").read_text())
    assert learnt["parent"] == incumbent
    registry = Registry(settings.promotion.registry_dir)
    assert (registry.record("explorer").live, registry.history()[-1].kind) == (incumbent, "refused")
