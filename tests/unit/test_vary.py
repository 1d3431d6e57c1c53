"""Variants of authored exchanges: another state, and the answer that follows from it."""

import re
from pathlib import Path
from random import Random

import pytest

from townsfolk.personas import PersonaLibrary
from townsfolk.training.data import Exchange, faults, read_actions, read_exchanges, read_names
from townsfolk.training.data.names import Names
from townsfolk.training.data.vary import crowded, moved, turned, varied

DATA = Path(__file__).parents[2] / "data"
ACTIONS = read_actions(DATA / "names")
IRON = Exchange(
    said="where is iron? i looked south",
    near={"default:stone_with_iron": "9 east", "default:tree": "4 north", "player mia": "12 west"},
    reply="Nine steps east, {player}, and nothing lies south.",
    topic="directions",
)


@pytest.fixture(scope="module")
def names() -> Names:
    return read_names(DATA / "names")


def test_turning_the_compass_turns_what_is_said_of_it() -> None:
    for seed in range(20):
        exchange = turned(IRON, Random(seed))
        way = exchange.near["default:stone_with_iron"].split(" ")[1]
        assert f"Nine steps {way}" in exchange.reply
        assert re.findall("lies ([a-z]+)", exchange.reply) == re.findall("looked ([a-z]+)", exchange.said)


def test_orders_to_go_are_turned_with_their_words() -> None:
    order = Exchange(said="go north", act="move_north", reply="North it is.", topic="orders")
    for seed in range(20):
        way = turned(order, Random(seed)).said.removeprefix("go ")
        assert turned(order, Random(seed)).act == f"move_{way}"
        assert turned(order, Random(seed)).reply == f"{way.capitalize()} it is."


def test_directions_told_from_knowledge_stay() -> None:
    known = Exchange(said="where do windows go?", reply="Glass goes to the south.", topic="world")
    assert all(turned(known, Random(seed)) == known for seed in range(8))


def test_signs_keep_their_words() -> None:
    sign = Exchange(
        said="hi", near={"default:sign_wall_wood": '3 north "go north"'}, reply="Hm.", topic="odd"
    )
    written = {
        turned(sign, Random(seed)).near["default:sign_wall_wood"].split(" ", 2)[2] for seed in range(8)
    }
    assert written == {'"go north"'}


def test_distances_change_with_what_is_told_and_keep_their_order(names: Names) -> None:
    seen = set()
    for seed in range(40):
        exchange = moved(IRON, names, Random(seed))
        steps = {what: int(place.split(" ")[0]) for what, place in exchange.near.items()}
        assert steps["default:tree"] == 4 < steps["default:stone_with_iron"] < steps["player mia"] == 12
        seen.add(exchange.reply.split(" ")[0])
    assert seen == {"Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven"}


def test_a_reply_that_reckons_keeps_its_distances(names: Names) -> None:
    reckoned = IRON.model_copy(update={"reply": "Nine steps east, five behind the tree."})
    assert all(moved(reckoned, names, Random(seed)) == reckoned for seed in range(8))


def test_what_is_hostile_stays_where_it_is(names: Names) -> None:
    wolf = Exchange(
        said="danger?", near={"mob dmobs:wolf": "9 east"}, reply="A wolf, nine steps east.", topic="danger"
    )
    assert all(moved(wolf, names, Random(seed)) == wolf for seed in range(8))


def test_what_is_added_is_not_spoken_of(names: Names) -> None:
    for seed in range(40):
        added = set(crowded(IRON, names, Random(seed)).near) - set(IRON.near)
        assert not any("Iron" in names.titles[name] for name in added)
        assert len(added) <= 4


def test_who_asks_what_there_is_gets_no_other_things(names: Names) -> None:
    asked = IRON.model_copy(update={"said": "what do you see?"})
    assert crowded(asked, names, Random(1)) == asked


def test_variants_of_all_authored_exchanges_are_as_sound(names: Names) -> None:
    library, random = PersonaLibrary.read(), Random(0)
    for file in sorted((DATA / "dialogue").glob("*.yaml")):
        persona = library.get(file.stem)
        for exchange in read_exchanges(file):
            variant = Exchange.model_validate(varied(exchange, names, random).model_dump())
            assert faults(variant, persona, names, ACTIONS) == []
