"""Versions on disk: whole or not there, in one order, whoever writes and whoever is killed."""

import json
import random
import signal
import time
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import pytest

from townsfolk.errors import AdapterError, InvalidRequest, UnknownName
from townsfolk.promotion.registry import ADAPTER_FILES, Record, Registry
from townsfolk.types import Manifest

A, B, C = "a" * 64, "b" * 64, "c" * 64
KEPT, ROOM = 10, 3
"""Changes of the history, where it is to be short, and versions of a persona."""
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["townsfolk.promotion.registry"])


def trained(folder: Path, content: str = "", manifest: Manifest | None = None) -> Path:
    """What a training run leaves; the registry does not look into the weights."""
    (folder / "adapter").mkdir(parents=True, exist_ok=True)
    for name in ADAPTER_FILES:
        (folder / name).write_text(content or name)
    (folder / "checkpoints").mkdir(exist_ok=True)
    if manifest:
        (folder / "manifest.json").write_text(manifest.model_dump_json())
    return folder


def manifest(**changes: object) -> Manifest:
    values: dict[str, object] = {
        "persona": "guard",
        "stage": "kto",
        "adapter_hash": A,
        "base": "test@sha256:0",
        "template_hash": "0" * 64,
        "dataset_hash": "d",
        "rows": 1,
        "steps": 1,
        "seed": 0,
        "created_at": 0.0,
    }
    return Manifest.model_validate(values | changes)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    made = Registry(tmp_path / "registry")
    for version in (A, B, C):
        made.add("guard", trained(tmp_path / version[:1], version), version)
    return made


def test_a_version_is_copied_whole_and_nothing_else_is(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    folder = registry.add("guard", trained(tmp_path / "run", manifest=manifest()), A)
    assert folder == tmp_path / "registry" / "guard" / A[:16]
    assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == {
        *ADAPTER_FILES,
        "manifest.json",
    }
    assert registry.add("guard", tmp_path / "run", A) == folder


def test_what_is_no_version_is_refused(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    with pytest.raises(AdapterError, match=r"has no adapter/adapter_config\.json"):
        registry.add("guard", tmp_path, A)
    run = trained(tmp_path / "run", manifest=manifest())
    for persona, version in (("trader", A), ("guard", B)):
        with pytest.raises(AdapterError, match="promote it for its own persona"):
            registry.add(persona, run, version)
    judge = trained(tmp_path / "judge", manifest=manifest(stage="reward"))
    with pytest.raises(AdapterError, match=r"stage is 'reward'.*agents.reward_model"):
        registry.add("guard", judge, A)
    with pytest.raises(UnknownName, match="add it with"):
        registry.promote("guard", C, 1)


def test_trial_confirmation_and_rollback(registry: Registry) -> None:
    assert registry.promote("guard", A, 0.25).model_dump() == {
        "name": "guard",
        "live": "",
        "trial": A,
        "share": 0.25,
    }
    assert registry.confirm("guard", A).live == A
    assert registry.promote("guard", B, 1).trial == B
    assert registry.rollback("guard", ("players dislike it",)).trial == ""
    registry.promote("guard", C, 1)
    assert registry.confirm("guard", C).live == C
    assert registry.record("guard").earlier == ("", A)
    assert registry.rollback("guard").live == A
    assert registry.rollback("guard").live == ""
    with pytest.raises(InvalidRequest, match="nothing to roll back to"):
        registry.rollback("guard")
    kinds = [change.kind for change in registry.history()]
    assert kinds == ["tried", "confirmed", "tried", "rolled_back", "tried", "confirmed", *["rolled_back"] * 2]
    dropped = registry.history()[3]
    assert (dropped.version, dropped.instead_of, dropped.reasons) == (B, A, ("players dislike it",))


def test_only_what_is_on_trial_can_be_confirmed(registry: Registry) -> None:
    with pytest.raises(InvalidRequest, match="not on trial"):
        registry.confirm("guard", A)
    registry.promote("guard", A, 1)
    registry.promote("guard", B, 1)
    with pytest.raises(InvalidRequest, match="not on trial"):
        registry.confirm("guard", A)


def test_what_is_live_needs_no_trial(registry: Registry) -> None:
    registry.promote("guard", A, 1)
    registry.confirm("guard", A)
    assert registry.promote("guard", A, 0.5).trial == ""


def test_the_history_keeps_what_is_late_and_how_to_name_a_version(registry: Registry) -> None:
    short = Registry(registry.folder, KEPT)
    for version in (A, B, A):
        short.promote("guard", version, 1)
    for number in range(3 * KEPT):
        short.note("guard", "refused", f"{number:064}", ("worse",))
    history = short.history()
    assert [(it.kind, it.version[0]) for it in history[:-KEPT]] == [("tried", "b"), ("tried", "a")]
    assert {it.kind for it in history[-KEPT:]} == {"refused"}
    assert history[-1].version == f"{3 * KEPT - 1:064}"
    assert short.versions("guard") == (A, B)
    assert short.record("guard").trial
    short.promote("guard", B, 1)
    assert short.tried_before("guard", B)
    assert not short.tried_before("guard", C)


def go_live(registry: Registry, version: str) -> None:
    registry.promote("guard", version, 1)
    registry.confirm("guard", version)


def folders(registry: Registry) -> set[str]:
    return {path.name for path in (registry.folder / "guard").iterdir()}


def test_the_oldest_versions_make_room(registry: Registry) -> None:
    short = Registry(registry.folder, keep_versions=1)
    go_live(short, A)
    assert folders(short) == {A[:16], B[:16], C[:16]}  # what was never on trial is about to be
    go_live(short, B)
    assert short.versions("guard") == (B, A)  # one can go back
    go_live(short, C)
    assert folders(short) == {B[:16], C[:16]}
    assert short.record("guard").earlier == ("", B)
    assert short.rollback("guard").live == B
    assert short.versions("guard") == (C, B)
    with pytest.raises(UnknownName, match="add it with"):
        short.promote("guard", A, 1)
    assert short.rollback("guard").live == ""


def test_neither_what_serves_nor_what_served_before_makes_room(registry: Registry, tmp_path: Path) -> None:
    short = Registry(registry.folder, keep_versions=1)
    for version in (A, B):
        go_live(short, version)
    for number in range(4):  # trials that go badly
        version = str(number) * 64
        short.add("guard", trained(tmp_path / "run"), version)
        short.promote("guard", version, 0.5)
        assert {A, B, version} <= {*short.versions("guard")}
        short.rollback("guard")
    assert folders(short) == {A[:16], B[:16], C[:16], "3" * 16}
    assert short.rollback("guard").live == A


@pytest.mark.parametrize("step", ["townsfolk.promotion.registry.remove_whole", "shutil.rmtree"])
def test_what_a_kill_has_spared_goes_later(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    short = Registry(registry.folder, keep_versions=1)
    for version in (A, B):
        go_live(short, version)
    with monkeypatch.context() as patch:
        patch.setattr(step, killed)
        with pytest.raises(KeyboardInterrupt):
            go_live(short, C)
    assert A not in short.record("guard").earlier
    short.add("guard", trained(tmp_path / "run"), "d" * 64)
    go_live(short, "d" * 64)
    assert folders(short) == {C[:16], "d" * 16}


def test_a_broken_file_is_told(registry: Registry) -> None:
    assert registry.record("guard") == Record()
    (registry.folder / "registry.json").write_text('{"personas": ')
    with pytest.raises(AdapterError, match="put back a copy"):
        registry.record("guard")


def write_for_ever(home: Path, run: str) -> None:
    """Add, promote, confirm and roll back until killed."""
    registry, number = Registry(home / "registry", KEPT, ROOM), 0
    while True:
        version = f"{run}{number:04d}".ljust(64, "0")
        registry.add("guard", trained(home / f"run{run}", version * 2_000), version)
        with suppress(InvalidRequest):  # the other writer has put its own on trial meanwhile
            registry.promote("guard", version, 0.5)
            registry.confirm("guard", version)
            if number % 3 == 2:
                registry.rollback("guard")
        number += 1


def test_killed_writers_leave_it_whole(tmp_path: Path) -> None:
    chance, registry = random.Random(3), Registry(tmp_path / "registry", KEPT, ROOM)
    for run in "012345":
        before = registry.history()[-1:]
        writers = [PROCESSES.Process(target=write_for_ever, args=(tmp_path, run + side)) for side in "ef"]
        for writer in writers:
            writer.start()
        while registry.history()[-1:] == before:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.2))
        for writer in writers:
            writer.kill()
            writer.join()
            assert writer.exitcode == -signal.SIGKILL
        _is_whole(registry)


def _is_whole(registry: Registry) -> None:
    """All that is named is there, and whole; a new writer finds the lock free."""
    record = registry.record("guard")
    for version in {record.live, *record.earlier} - {""}:
        for name in ADAPTER_FILES:
            file = registry.folder_of("guard", version) / name
            assert file.read_text() == version * 2_000
    history = registry.history()
    assert len({change.id for change in history}) == len(history)
    assert all(change.kind == "tried" for change in history[:-KEPT])
    registry.note("guard", "passed", A, ("still works",))
    assert json.loads((registry.folder / "registry.json").read_text())["history"][-1]["kind"] == "passed"
    assert len(registry.versions("guard")) <= ROOM + 3  # live, on trial and before
