"""A night goes on where it was cut off."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from townsfolk.errors import InvalidRequest
from townsfolk.promotion.nightly import Night, Result, Step, night_folder


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
    with night_folder(home, keep=1) as folder:
        return Night("guard", folder, steps).run()


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


def test_a_night_of_yesterday_is_left(tmp_path: Path) -> None:
    (tmp_path / "20200101-023000" / "a").mkdir(parents=True)
    with night_folder(tmp_path, keep=1) as folder:
        assert folder.name > "2026"


def test_old_nights_go_when_one_begins(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        (tmp_path / f"2020010{day}-023000" / "collect").mkdir(parents=True)
    (tmp_path / "my-notes").mkdir()
    with night_folder(tmp_path, keep=2) as folder:
        left = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert left == ["20200102-023000", "20200103-023000", "my-notes"]
    assert folder.name.startswith("20")


def test_one_night_at_a_time(tmp_path: Path) -> None:
    with night_folder(tmp_path, keep=1), pytest.raises(InvalidRequest, match="another townsfolk nightly"):
        night(tmp_path)
