"""The bench runs, on a tiny model: its cheap rows have all figures, and bars are judged as written."""

import json
from pathlib import Path

import pytest
from bench.bars import BARS, FIGURES, Bar, row_of
from bench.engine import NAMES, main

from tiny_model import write_tiny_model

ROWS = ("decode_1", "decide_http_1", "speech_1", "swap")


def test_cheap_rows_are_measured_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MAX_CONTEXT": 4096, "KV_TOKENS": 65_536, "MAX_PREFILL_TOKENS": 2048}.items():
        monkeypatch.setenv(f"TOWNSFOLK_ENGINE__{name}", str(value))  # a persona is long, told byte by byte
    model, file = write_tiny_model(tmp_path / "tiny.gguf", context=8192), tmp_path / "bench.json"
    few = ["--rounds", "2", "--decisions", "2", "--swap-seconds", "1"]
    main(["--model", str(model), "--only", ",".join(ROWS), "--peers", "ort", "--json", str(file), *few])
    result = json.loads(file.read_text())
    rows = {row["name"]: row for row in result["rows"]}
    assert tuple(rows) == ROWS
    assert all(row.keys() >= {*FIGURES} and row["ours_ms"] > 0 for row in rows.values())
    assert rows["decode_1"]["ort_ms"] > 0
    assert rows["decode_1"]["peft_ms"] is None
    assert rows["decide_http_1"]["guide_ms"] == 3.8
    assert rows["speech_1"]["tokens_per_s"] > 0
    assert rows["swap"]["swaps"] > 1
    assert rows["swap"]["failed"] == 0, rows["swap"]["failures"]
    assert result["rss_mb_32"] is None


def test_an_unknown_row_is_told_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "decode_7"])
    assert "--only has no decode_7: there are decode_1," in capsys.readouterr().err


def test_bars_name_rows_that_are_measured() -> None:
    assert {bar.row for bar in BARS} <= set(NAMES)


def test_a_bar_is_judged_once_both_its_figures_are_there() -> None:
    bar = Bar("a", "peft_ms", "ours_ms", 25, at_least=True)
    rows = {"a": row_of("a", ours_ms=2.0)}
    assert bar.verdict(rows) == "peft_ms / ours_ms: not measured"
    rows["a"]["peft_ms"] = 60.0
    assert bar.verdict(rows) == "peft_ms / ours_ms 30.00 (at least 25): holds"
    across = Bar("b", "ours_ms", "a.ours_ms", 1.25)
    assert (
        across.verdict(rows | {"b": row_of("b", ours_ms=3.0)})
        == "ours_ms / a.ours_ms 1.50 (at most 1.25): missed"
    )
