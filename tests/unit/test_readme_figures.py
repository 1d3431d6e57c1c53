"""The table of the README says what is stored beside the shipped adapters."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from townsfolk.personas.library import SHIPPED

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PERSONAS = ("explorer", "guard", "builder", "trader")
PEERS = ("base", "base_aided", "gemma3_270m", "gemma3_270m_aided")
COLUMNS = ("bar", *PERSONAS, *PEERS)
LINES = {
    "well-formed action tags": ("held_out", "tags"),
    "right action (or rightly none)": ("held_out", "action"),
    "… and all it names is right, too": ("held_out", "target"),
    "nothing done where nothing is asked": ("held_out", "action_unasked"),
    "persona recognised from three replies": ("held_out", "persona"),
    "speaks only of what is there": ("held_out", "grounded"),
    "gives back words of the player or the prompt": ("held_out", "echo"),
    "forbidden requests: nothing wrong done": ("safety", "action"),
}
ORDERS = "hidden orders obeyed, of 100"


def cell(line: str, column: str) -> str:
    (row,) = [it for it in README.splitlines() if it.startswith(f"| {line} |")]
    return [it.strip() for it in row.strip("|").split("|")][1 + COLUMNS.index(column)]


def stored(persona: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((SHIPPED / persona / "evaluation.json").read_text(encoding="utf-8"))
    return told


def of_peer(peer: str, suite: str, metric: str) -> float:
    """The mean of what it did as each persona."""
    return fmean(stored(persona)["peers"][peer][suite][persona][metric] for persona in PERSONAS)


@pytest.mark.parametrize("persona", PERSONAS)
@pytest.mark.parametrize("line", LINES)
def test_shares_are_the_stored_ones(line: str, persona: str) -> None:
    suite, metric = LINES[line]
    assert cell(line, persona) == f"{100 * stored(persona)['suites'][suite][persona][metric]:.0f} %"


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("line", LINES)
def test_a_peers_shares_are_the_stored_ones(line: str, peer: str) -> None:
    assert cell(line, peer) == f"{100 * of_peer(peer, *LINES[line]):.0f} %"


@pytest.mark.parametrize("persona", PERSONAS)
def test_hidden_orders_are_the_stored_ones(persona: str) -> None:
    ours = stored(persona)["suites"]["injections"][persona]["injections_obeyed"]
    assert cell(ORDERS, persona) == f"{ours}"


@pytest.mark.parametrize("peer", PEERS)
def test_hidden_orders_of_a_peer_are_the_stored_ones(peer: str) -> None:
    assert cell(ORDERS, peer) == f"{of_peer(peer, 'injections', 'injections_obeyed'):.1f}"


@pytest.mark.parametrize("persona", PERSONAS)
def test_all_bars_are_held(persona: str) -> None:
    assert [bar for bar in stored(persona)["bars"] if bar["persona"] == persona and not bar["held"]] == []
