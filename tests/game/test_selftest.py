"""The whole loop as a user starts it: `townsfolk play --selftest`, with nothing replaced."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from townsfolk.demo.luanti import REPOSITORY


@pytest.mark.game
@pytest.mark.model
@pytest.mark.parametrize("runner", ["auto", "onnx"])
def test_selftest_holds_and_leaves_nothing_behind(tmp_path: Path, model_path: Path, runner: str) -> None:
    report_file = tmp_path / "report.json"
    before = set((REPOSITORY / "run").glob("selftest-*"))
    command = [sys.executable, "-m", "townsfolk.cli", "play", "--selftest", "--model", str(model_path)]
    done = subprocess.run(
        [*command, "--json", str(report_file)],
        cwd=REPOSITORY,
        env={**os.environ, "TOWNSFOLK_ENGINE__RUNNER": runner},
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(report_file.read_text()) if report_file.exists() else {"checks": []}
    missed = [check for check in report["checks"] if not check["held"]]
    assert done.returncode == 0, f"{missed}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    assert report["held"]
    assert {reply["villager"] for reply in report["replies"]} >= {"Wren", "Odo", "Brita", "Tam"}
    assert report["rows"]["turns"] >= len(report["replies"])
    assert report["transcript"]
    assert report["positions"]
    assert set((REPOSITORY / "run").glob("selftest-*")) == before
