"""`scripts/chaos --quick`, its rows of the store and some of those that kill."""

import json
from pathlib import Path

import pytest
from bench.chaos.__main__ import main
from postgres_server import PG_CTL

OF_THE_STORE = ("sqlite_locked", "sqlite_read_only", "postgres_stopped", "postgres_frozen", "disk_full")
KILLS = ("killed_serving", "killed_swap")
"""The rest takes too long for CI; what the game makes of a failing service is in test_mod_link.py, too."""


def test_nothing_acknowledged_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = [name for name in (*OF_THE_STORE, *KILLS) if PG_CTL or not name.startswith("postgres_")]
    file = tmp_path / "chaos.json"
    assert main(["--quick", "--only", ",".join(only), "--json", str(file)]) == 0, capsys.readouterr().out
    rows = json.loads(file.read_text())["rows"]
    assert [row["name"] for row in rows] == only
    assert all(row.keys() == {"name", "tried", "survived", "lost", "late", "obeyed"} for row in rows)


def test_an_unknown_row_is_told_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "earthquake"])
    assert "--only has no earthquake: there are killed," in capsys.readouterr().err
