"""A night's own judgement, on a tiny model; what is trained elsewhere is written here."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rated_turns import rate_turn
from tiny_model import tiny_settings, write_random_adapter
from townsfolk.cli import app
from townsfolk.config import Settings, shipped
from townsfolk.engine import open_model
from townsfolk.errors import LaunchError
from townsfolk.promotion.nightly import RESULT, Night, Result, Step
from townsfolk.promotion.registry import ADAPTER, EVALUATION, MANIFEST, VERDICT, Registry
from townsfolk.serving import Rooms
from townsfolk.serving.night import ROWS, NightPlan
from townsfolk.training.data.rows import HELD_OUT, TRAIN, DataRow, write_rows
from townsfolk.types import Manifest
from world import observation, said

EXAMPLES = shipped("data").parent / "examples"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return tiny_settings(tmp_path)


def plan(settings: Settings, folder: Path) -> NightPlan:
    config = folder / "settings.yaml"
    config.write_text(settings.model_dump_json())
    return NightPlan("explorer", folder / "night", settings, lambda run: "f" * 64, config)


def test_twenty_random_ratings_end_the_night(settings: Settings, tmp_path: Path) -> None:
    rooms, chance = Rooms.open(settings), random.Random(1)
    for number in range(20):
        rate_turn(rooms.store, number, f"sam{number % 5}", "Hello!", chance.choice((-1, 1)))
    rooms.close()
    night = plan(settings, tmp_path)
    report = Night("explorer", night.home, night.steps()).run()
    assert list(report["steps"]) == ["collect"]
    assert "20 of them new: learning takes 50 new" in report["outcome"]


def nightly(settings: Settings, folder: Path, *personas: str) -> tuple[int, str, Any]:
    """The command's exit status, what it says of errors, and its reports."""
    config = folder / "settings.yaml"
    config.write_text(settings.model_dump_json())
    who = [word for persona in personas for word in ("--persona", persona)]
    done = CliRunner().invoke(app, ["nightly", *who, "--config", str(config), "--json"])
    return done.exit_code, done.stderr, json.loads(done.stdout)


def of_its_own(settings: Settings, folder: Path, **nightly: object) -> Settings:
    """With the example personas, and nights in `folder`."""
    night = settings.nightly.model_copy(update={"home": folder / "nights", **nightly})
    folders = (EXAMPLES / "personas", EXAMPLES / "miller" / "personas")
    return settings.model_copy(update={"personas_dirs": folders, "nightly": night})


def test_the_fault_of_one_persona_leaves_the_others_their_nights(settings: Settings, tmp_path: Path) -> None:
    Rooms.open(settings).close()
    code, told, reports = nightly(of_its_own(settings, tmp_path), tmp_path, "hermit", "explorer")
    assert code == 1
    assert told.startswith("error: hermit: dialogue/hermit.yaml is in none of")
    assert "name their folder in nightly.data" in told
    assert [report["persona"] for report in reports] == ["explorer"]


def test_a_persona_of_ones_own_has_exchanges_of_its_own(settings: Settings, tmp_path: Path) -> None:
    own = of_its_own(settings, tmp_path, data=(EXAMPLES / "miller" / "data",))
    night = replace(plan(own, tmp_path), persona="miller")
    for step in ("collect", "build"):
        (night.home / step).mkdir(parents=True)
    (night.home / "collect" / ROWS).touch()
    build = next(step for step in night.steps() if step.name == "build")
    rows = build.run(night.home / "build").figures
    assert rows["train"]
    assert rows["held_out"]


def test_an_evaluation_that_fails_is_no_missed_bar(settings: Settings, tmp_path: Path) -> None:
    night = plan(settings, tmp_path)
    prepared(night, {})
    write_rows(night.dataset / HELD_OUT, [])
    examine = next(step for step in night.steps() if step.name == "examine")
    collected = Result(figures={"live": ""})
    (night.home / "collect" / RESULT).write_text(collected.model_dump_json())
    (tmp_path / "examine").mkdir()
    with pytest.raises(
        LaunchError, match=r"(?s)step examine: townsfolk eval has failed.*no row is of explorer"
    ):
        examine.run(tmp_path / "examine")


def test_a_version_on_trial_is_waited_for(settings: Settings, tmp_path: Path) -> None:
    registry, version = Registry(settings.promotion.registry_dir), "a" * 64
    model = open_model(settings.engine.model)
    write_random_adapter(tmp_path / "version" / ADAPTER, model.params, model.base_hash)
    registry.add("explorer", tmp_path / "version", version)
    registry.promote("explorer", version, 0.5)
    night = plan(settings, tmp_path)
    report = Night("explorer", night.home, night.steps()).run()
    assert report["outcome"].startswith("version aaaaaaaa")
    assert "is on trial" in report["outcome"]


def test_what_went_live_meanwhile_is_not_replaced(settings: Settings, tmp_path: Path) -> None:
    registry, version = Registry(settings.promotion.registry_dir), "a" * 64
    night = plan(settings, tmp_path)
    collected = Result(figures={"live": ""})
    (night.home / "collect").mkdir(parents=True)
    (night.home / "collect" / RESULT).write_text(collected.model_dump_json())
    model = open_model(settings.engine.model)
    write_random_adapter(tmp_path / "version" / ADAPTER, model.params, model.base_hash)
    registry.add("explorer", tmp_path / "version", version)
    registry.promote("explorer", version, 1)
    registry.confirm("explorer", version)
    promote = next(step for step in night.steps() if step.name == "promote")
    assert promote.run(tmp_path).end.startswith("aaaaaaaaaaaaaaaa went live meanwhile")


def prepared(night: NightPlan, replies: dict[str, str], reward: float | None = None) -> Step:
    """The gate's step, with all that the steps before it leave; `reward`: of each held-out row."""
    model = open_model(night.settings.engine.model)
    manifest = Manifest(
        persona="explorer",
        stage="reward",
        adapter_hash="a" * 64,
        base="test@sha256:0",
        template_hash="0" * 64,
        dataset_hash="d",
        rows=1,
        steps=1,
        seed=0,
        metrics={"auc": 0.9},
        created_at=0,
    )
    for step in ("reward", "learn"):
        run = night.home / step / "run"
        write_random_adapter(run / ADAPTER, model.params, model.base_hash)
        (run / MANIFEST).write_text(manifest.model_dump_json())
    rows = [
        DataRow(
            id=f"r{number}",
            persona="explorer",
            source="authored",
            group=f"g{number}",
            observation=observation(said(f"hello {number}")),
            reply="Hello!",
            reward=reward,
        )
        for number in range(4)
    ]
    night.dataset.mkdir(parents=True)
    (night.home / "collect").mkdir(exist_ok=True)
    (night.home / "collect" / ROWS).touch()
    write_rows(night.dataset / TRAIN, [])
    write_rows(night.dataset / HELD_OUT, rows)
    lines = [{"id": row.id, "replies": replies} for row in rows]
    suites = {"held_out": {"explorer": {"tags": 1.0, "kl": 0.1}}}
    report: dict[str, Any] = {"suites": suites, "replies": lines}
    (night.home / "examine").mkdir()
    (night.home / "examine" / EVALUATION).write_text(json.dumps(report))
    return next(step for step in night.steps() if step.name == "gate")


def test_the_gate_is_told_all_and_its_refusal_is_kept(settings: Settings, tmp_path: Path) -> None:
    night = plan(settings, tmp_path)
    gate = prepared(night, {"candidate": "hello there", "base_aided": "the end"})
    folder = tmp_path / "gate"
    folder.mkdir()
    result = gate.run(folder)
    assert result.end.startswith("the gate refuses: 0 rated turns to learn from, at least 50")
    assert result.figures["win_rate"] in (0.0, 1.0)  # one reply is the better one of all four contexts
    assert json.loads((folder / VERDICT).read_text())["passed"] is False
    (change,) = Registry(settings.promotion.registry_dir).history()
    assert (change.kind, change.version) == ("refused", "a" * 64)


def test_equal_replies_are_ties(settings: Settings, tmp_path: Path) -> None:
    night = plan(settings, tmp_path)
    (tmp_path / "gate").mkdir()
    result = prepared(night, {"candidate": "hello", "base_aided": "hello"}).run(tmp_path / "gate")
    assert result.figures["win_rate"] == 0.5


def test_thumbs_that_cancel_out_are_none(settings: Settings, tmp_path: Path) -> None:
    night = plan(settings, tmp_path)
    (tmp_path / "gate").mkdir()
    refused = (
        prepared(night, {"candidate": "hello", "base_aided": "hello"}, reward=0.0).run(tmp_path / "gate").end
    )
    assert "on 0 thumbs up and 0 down" in refused


def collected(night: NightPlan) -> Result:
    (night.home / "collect").mkdir(parents=True)
    return night.steps()[0].run(night.home / "collect")


def test_thumbs_that_had_their_verdict_begin_no_further_night(settings: Settings, tmp_path: Path) -> None:
    rooms = Rooms.open(settings)
    for number in range(60):
        rate_turn(rooms.store, number, f"sam{number % 5}", "Hello!", 1 if number % 2 else -1)
    rooms.close()
    first = plan(settings, tmp_path)
    assert not collected(first).end
    (tmp_path / "gate").mkdir()
    prepared(first, {"candidate": "hello", "base_aided": "hello"}).run(tmp_path / "gate")
    second = collected(replace(first, home=tmp_path / "second"))
    assert second.end.startswith("30 thumbs up and 30 down, 0 of them new: learning takes 50 new")
