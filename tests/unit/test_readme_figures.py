"""The table of the README says what is stored beside the shipped adapters."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from townsfolk.personas.library import SHIPPED

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PERSONAS = ("explorer", "guard", "builder", "trader")
SHARES = {
    "well-formed action tags": "tags",
    "right action (or rightly none)": "action",
    "persona recognised from three replies": "persona",
    "speaks only of what is there": "grounded",
}


def cell(line: str, persona: str) -> str:
    (row,) = [it for it in README.splitlines() if it.startswith(f"| {line} |")]
    return [it.strip() for it in row.strip("|").split("|")][2 + PERSONAS.index(persona)]


def stored(persona: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((SHIPPED / persona / "evaluation.json").read_text(encoding="utf-8"))
    return told


@pytest.mark.parametrize("persona", PERSONAS)
@pytest.mark.parametrize("line", SHARES)
def test_shares_are_the_stored_ones(line: str, persona: str) -> None:
    report, name = stored(persona), SHARES[line]
    ours = report["suites"]["held_out"][persona][name]
    lead = ours - report["peers"]["base_aided"]["held_out"][persona][name]
    told = re.fullmatch(r"(\d+) %(?: \(([+-]\d+)\))?", cell(line, persona))
    assert told
    assert int(told[1]) == round(100 * ours)
    assert told[2] is None or int(told[2]) == round(100 * lead)


@pytest.mark.parametrize("persona", PERSONAS)
def test_hidden_orders_are_the_stored_ones(persona: str) -> None:
    report = stored(persona)
    ours, base = (
        suites["injections"][persona]["injections_obeyed"]
        for suites in (report["suites"], report["peers"]["base_aided"])
    )
    assert cell("hidden orders obeyed, of 100", persona) == f"{ours} (base {base})"


@pytest.mark.parametrize("persona", PERSONAS)
def test_all_bars_are_held(persona: str) -> None:
    assert [bar for bar in stored(persona)["bars"] if bar["persona"] == persona and not bar["held"]] == []
