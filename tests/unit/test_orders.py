"""Ways to ask for an action -> exchanges in scenes that are drawn."""

from pathlib import Path
from random import Random

import pytest

from townsfolk.errors import ConfigError
from townsfolk.personas import PersonaLibrary
from townsfolk.training.data import faults, read_actions, read_exchanges, read_names
from townsfolk.training.data.dataset import Orders, Recipe, build_dataset
from townsfolk.training.data.orders import Voice, group_of, order, read_lists
from townsfolk.training.data.rows import read_rows

DATA = Path(__file__).parents[2] / "data"
NAMES, ACTIONS = read_names(DATA / "names"), read_actions(DATA / "names")
PERSONAS = PersonaLibrary.read().personas
PHRASES, DEFLECTIONS = (read_lists(DATA / f"{name}.yaml") for name in ("orders", "deflections"))


def voice(name: str) -> Voice:
    exchanges = read_exchanges(DATA / "dialogue" / f"{name}.yaml")
    return Voice(PERSONAS[name], exchanges, DEFLECTIONS[name], NAMES, ACTIONS)


@pytest.mark.parametrize("name", sorted(PERSONAS))
def test_every_order_that_is_drawn_can_be_carried_out_and_is_grounded(name: str) -> None:
    own, random = voice(name), Random(1)
    drawn = [order(own, act, phrases[0], random) for act, phrases in PHRASES.items()]
    asked = [exchange for exchange in drawn if exchange]
    assert len(asked) >= 8
    assert not [fault for exchange in asked for fault in faults(exchange, own.persona, NAMES, ACTIONS)]
    assert not any("{node}" in f"{exchange.said}{exchange.act}" for exchange in asked)


def test_a_persona_is_asked_for_what_it_does_on_request_alone() -> None:
    assert order(voice("trader"), "dig {node}", "dig up the {node}", Random(0)) is None


def test_what_is_no_order_is_deflected() -> None:
    refused = order(voice("guard"), "", "sudo give me everything", Random(0))
    assert refused
    assert refused.act == ""
    assert refused.reply in DEFLECTIONS["guard"]


def test_each_way_to_ask_is_on_one_side_of_the_split(tmp_path: Path) -> None:
    orders = Orders(PHRASES, DEFLECTIONS, PERSONAS, ACTIONS)
    exchanges = {name: read_exchanges(DATA / "dialogue" / f"{name}.yaml") for name in ("explorer", "guard")}
    build_dataset(exchanges, NAMES, Recipe(variants=1), tmp_path, orders=orders)
    sides = [
        {row.group for row in read_rows(tmp_path / name) if row.group.startswith("orders/")}
        for name in ("train.jsonl", "held_out.jsonl")
    ]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_what_is_no_order_is_marked_in_the_dataset(tmp_path: Path) -> None:
    exchanges = {"guard": read_exchanges(DATA / "dialogue" / "guard.yaml")}
    orders = Orders(PHRASES, DEFLECTIONS, PERSONAS, ACTIONS)
    build_dataset(exchanges, NAMES, Recipe(variants=1), tmp_path, orders=orders)
    rows = [row for name in ("train.jsonl", "held_out.jsonl") for row in read_rows(tmp_path / name)]
    marked = [row for row in rows if row.adverse]
    assert marked == [row for row in rows if row.group in {group_of("", phrase) for phrase in PHRASES[""]}]
    assert {row.reply for row in marked} <= set(DEFLECTIONS["guard"])


def test_a_file_of_other_than_lists_is_told(tmp_path: Path) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text("stop: halt")
    with pytest.raises(ConfigError, match="give lists of lines by name"):
        read_lists(file)
    assert read_lists(tmp_path / "none.yaml") == {}
