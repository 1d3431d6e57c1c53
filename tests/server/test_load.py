"""`scripts/bench load` on a tiny model: in an open-loop village nothing is lost and nothing late."""

import json
from pathlib import Path

import pytest
from bench import load

from tiny_model import write_tiny_model


def test_a_small_village_is_served_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"MAX_CONTEXT": 4096, "KV_TOKENS": 32_768, "MAX_PREFILL_TOKENS": 2048}.items():
        monkeypatch.setenv(f"TOWNSFOLK_ENGINE__{name}", str(value))  # a persona is long, told byte by byte
    monkeypatch.setattr(load, "TICK_S", 2.0)
    model, file = write_tiny_model(tmp_path / "tiny.gguf", context=8192), tmp_path / "load.json"
    told = ["--villagers", "6", "--minutes", "0.1", "--model", str(model), "--json", str(file)]
    assert load.main(told) == 0, capsys.readouterr().out
    row, memory = json.loads(file.read_text())["rows"]
    assert (row["name"], row["lost"], row["late"], row["obeyed"]) == ("load_6", 0, 0, 0)
    assert row["survived"] == row["tried"] > 10
    assert (memory["name"], memory["tried"]) == ("memory_6", 0)  # too short to judge


def test_memory_that_grows_breaks_the_promise() -> None:
    """By over one per cent an hour, in the later half."""
    minutes = [60.0 * n for n in range(11)]
    way_up = [(at, 300.0 + min(at, 300.0)) for at in minutes]
    grown = [(at, mb + at / 3_600 * 12) for at, mb in way_up]
    assert load.Figures(memory=way_up).memory_row(6, judged=True).kept
    assert not load.Figures(memory=grown).memory_row(6, judged=True).kept
