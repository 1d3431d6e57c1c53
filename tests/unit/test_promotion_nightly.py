"""A night goes on where it was cut off."""

import json
import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from townsfolk.cli.nightly import nightly
from townsfolk.errors import InvalidRequest
from townsfolk.promotion.nightly import Night, Result, Step, alone, night_folder


def noted(log: Path, name: str, *, end: str = "", kill: bool = False, continues: bool = False) -> Step:
    """A step that notes that it ran, and in its folder how often."""

    def run(folder: Path) -> Result:
        with log.open("a") as file:
            file.write(name)
        tries = folder / "tries"
        tries.write_text(f"{tries.read_text() if tries.exists() else ''}x")
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)
        return Result(figures={"tries": len(tries.read_text()), "rate": 0.25}, end=end)

    return Step(name, run, continues)


def night(home: Path, *steps: Step) -> dict[str, object]:
    return Night("guard", night_folder(home, keep=1), steps).run()


def killed_in_b(home: Path, log: Path, continues: bool) -> None:
    night(home, noted(log, "a"), noted(log, "b", kill=True, continues=continues))


@pytest.mark.parametrize(("continues", "tries"), [(False, 1), (True, 2)])
def test_after_a_kill_done_steps_are_not_done_again(tmp_path: Path, continues: bool, tries: int) -> None:
    home, log = tmp_path / "nights", tmp_path / "log"
    process = multiprocessing.get_context("fork").Process(target=killed_in_b, args=(home, log, continues))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    report = night(home, noted(log, "a"), noted(log, "b", continues=continues), noted(log, "c"))
    assert log.read_text() == "abbc"
    assert report["outcome"] == "promoted"
    (folder,) = [path for path in home.iterdir() if path.is_dir()]
    assert (folder / "b" / "tries").read_text() == "x" * tries
    assert json.loads((folder / "report.json").read_text()) == report
    assert "| c | 0 | tries 1, rate 0.25 |" in (folder / "report.md").read_text()


def test_a_step_may_end_the_night(tmp_path: Path) -> None:
    log = tmp_path / "log"
    report = night(tmp_path / "nights", noted(log, "a", end="nothing new was rated"), noted(log, "b"))
    assert (report["outcome"], log.read_text()) == ("nothing new was rated", "a")


@pytest.mark.parametrize(("hours", "resumed"), [(25, True), (40, False)])
def test_a_night_is_taken_up_the_next_night_and_then_left(tmp_path: Path, hours: int, resumed: bool) -> None:
    began = time.strftime("%Y%m%d-%H%M%S", time.gmtime(time.time() - hours * 3600))
    (tmp_path / began / "a").mkdir(parents=True)
    assert (night_folder(tmp_path, keep=1).name == began) == resumed


def test_old_nights_go_when_one_begins(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        (tmp_path / f"2020010{day}-023000" / "collect").mkdir(parents=True)
    (tmp_path / "my-notes").mkdir()
    folder = night_folder(tmp_path, keep=2)
    left = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert left == ["20200102-023000", "20200103-023000", "my-notes"]
    assert folder.name.startswith("20")


def held_night(home: Path, persona: str, began: Event) -> None:
    """One that does not end by itself."""

    def wait(folder: Path) -> Result:
        began.set()
        time.sleep(60)
        return Result()

    with alone(home):
        Night(persona, night_folder(home / persona, keep=1), [Step("wait", wait)]).run()


def test_one_night_at_a_time_whoever_learns(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    began = context.Event()
    process = context.Process(target=held_night, args=(tmp_path, "guard", began))
    process.start()
    assert began.wait(60)
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"nightly: {{home: '{tmp_path}'}}\n")
    with pytest.raises(InvalidRequest, match="another townsfolk nightly"):
        nightly(["trader"], settings)
    assert not (tmp_path / "trader").exists()
    process.kill()
    process.join()
    with alone(tmp_path):
        assert (tmp_path / "guard").is_dir()
