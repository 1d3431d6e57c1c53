"""Authored exchanges: what we ship holds its rules, and each rule is told when broken."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from townsfolk.cli import app
from townsfolk.errors import ConfigError
from townsfolk.personas import PersonaLibrary
from townsfolk.training.data import Exchange, faults, read_actions, read_exchanges, read_names
from townsfolk.training.data.names import Names
from townsfolk.types import EventKind, Persona

DATA = Path(__file__).parents[2] / "data"
ACTIONS = read_actions(DATA / "names")
FILES = sorted((DATA / "dialogue").glob("*.yaml"))
LEAST = 300


@pytest.fixture(scope="module")
def names() -> Names:
    return read_names(DATA / "names")


@pytest.fixture(scope="module")
def explorer() -> Persona:
    return PersonaLibrary.read().get("explorer")


def exchange(**fields: Any) -> Exchange:
    return Exchange.model_validate({"said": "hi", "reply": "Hm.", "topic": "greeting", **fields})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_we_ship_is_sound(file: Path, names: Names) -> None:
    exchanges = read_exchanges(file)
    persona = PersonaLibrary.read().get(file.stem)
    assert len(exchanges) >= LEAST
    assert [(it.said, found) for it in exchanges if (found := faults(it, persona, names, ACTIONS))] == []


def test_a_persona_of_ones_own_needs_no_names_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/tutorial-persona.md has it."""
    miller = DATA.parent / "examples" / "miller"
    monkeypatch.setenv("TOWNSFOLK_PERSONAS_DIRS", json.dumps([str(miller / "personas")]))
    told = ["--data", str(miller / "data"), "--names", str(DATA / "names"), "--json"]
    checked = CliRunner().invoke(app, ["data", "check", *told], catch_exceptions=False)
    assert (checked.exit_code, json.loads(checked.stdout)["faults"]) == (0, [])
    built = CliRunner().invoke(
        app, ["data", "build", str(tmp_path / "dataset"), *told], catch_exceptions=False
    )
    assert json.loads(built.stdout)["files"]["train.jsonl"]["personas"].keys() == {"miller"}


def test_no_line_is_written_twice() -> None:
    replies = Counter(it.reply for file in FILES for it in read_exchanges(file))
    assert [reply for reply, count in replies.items() if count > 1] == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"near": {"default:chst": "3 north"}}, "no name of the game"),
        ({"reply": "There is a furnace somewhere."}, "speaks of furnace"),
        (
            {"near": {"default:chest": "3 south"}, "reply": "The chest is north."},
            "says north, where nothing is",
        ),
        ({"act": "attack dmobs:wolf"}, "never does attack"),
        ({"act": "goto default:chest"}, "is not near"),
        ({"act": "place default:torch"}, "is not carried"),
        ({"have": {"default:torch": 2}, "act": "give default:torch 3 {player}"}, "not more of it"),
        ({"have": {"default:torch": 2}, "act": "give default:torch two {player}"}, "count is a number from"),
        ({"have": {"default:torch": 2}, "act": "give default:torch ² {player}"}, "count is a number from"),
        ({"near": {"default:stone": "3 north"}}, "take no note of default:stone"),
        ({"near": {"mob mobs_animal:cow": "3 north"}, "act": "follow mobs_animal:cow"}, "no player"),
        ({"act": "wait"}, "wait takes seconds"),
        ({"act": "wait 90"}, "a number from 1 to 60"),
        ({}, "is waved to"),
        ({"said": "", "punched": True, "act": "wave"}, "a blow is answered by flee"),
        ({"said": "", "gift": {"default:apple": 1}, "act": "give default:apple 1 {player}"}, "nobody else"),
        ({"near": {"mob dmobs:wolf": "3 north"}, "topic": "danger"}, "within 3 steps is fled from"),
    ],
)
def test_what_is_not_there_is_told(
    fields: dict[str, Any], told: str, explorer: Persona, names: Names
) -> None:
    assert told in "; ".join(faults(exchange(**fields), explorer, names, ACTIONS))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ({"said": "hi"}, "must be a list"),
        ([{"said": "hi", "punched": True, "reply": "Hm.", "topic": "odd"}], "exactly one of"),
        (
            [{"said": "hi", "reply": "Hm.", "topic": "odd", "near": {"default:chest": "up"}}],
            "exchange 1: near",
        ),
        ([{"said": "hi", "reply": "[[ACTION:wave]]", "topic": "odd"}], "exchange 1: reply"),
    ],
)
def test_a_file_that_breaks_the_schema_is_refused(rows: object, told: str, tmp_path: Path) -> None:
    file = tmp_path / "explorer.yaml"
    file.write_text(yaml.safe_dump(rows))
    with pytest.raises(ConfigError, match=told):
        read_exchanges(file)


def test_an_exchange_becomes_what_a_game_would_send(names: Names) -> None:
    gift = Exchange(
        gift={"default:apple": 2},
        near={"default:sign_wall_wood": '3 north "market"', "mob dmobs:wolf": "5 west"},
        have={"default:apple": 1},
        built={"default:stonebrick": 4},
        holds="default:torch",
        reply="Thank you.",
        topic="gift",
    )
    seen = gift.observation("explorer", names, name="Ida", player="sam")
    assert seen.around is not None
    assert seen.me is not None
    player, wolf = seen.around.things
    assert (player.name, player.held) == ("sam", "default:torch")
    assert (wolf.title, wolf.hostile) == ("Wolf", True)
    assert (seen.around.nodes[0].text, seen.around.nodes[0].direction) == ("market", "north")
    assert [(stack.name, stack.count) for stack in seen.me.inventory] == [("default:apple", 3)]
    assert [event.kind for event in seen.events] == [EventKind.PLACED, EventKind.GIFT]


def test_actions_are_read_beside_the_names(tmp_path: Path, names: Names) -> None:
    actions = {action.name for action in read_actions(DATA / "names")}
    personas = PersonaLibrary.read().personas.values()
    assert {action for persona in personas for action in persona.actions} <= actions
    assert actions.isdisjoint(names.titles)
    (tmp_path / "actions.json").write_text('[{"name": "Fly"}]')
    with pytest.raises(ConfigError, match=r"0\.name.*scripts/names"):
        read_actions(tmp_path)
