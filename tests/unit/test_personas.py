"""Persona files: the four shipped, one's own, and what is refused."""

from pathlib import Path

import pytest

from townsfolk.errors import ConfigError, UnknownName
from townsfolk.interpreter import split_reply
from townsfolk.personas import PersonaLibrary, load_persona

GOOD = """
name: {name}
title: a quiet miller
traits: [quiet]
speech: Few words.
actions: [wave, wait]
unasked: {{punched: [wait], tick: [wait]}}
on_request: [wave]
"""


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "persona.yaml").write_text(text, encoding="utf-8")
    return folder / name


def test_four_personas_are_shipped() -> None:
    library = PersonaLibrary.read()
    assert set(library.personas) == {"explorer", "trader", "guard", "builder"}
    assert not library.faults


@pytest.mark.parametrize("name", ["explorer", "trader", "guard", "builder"])
def test_examples_keep_to_the_rules(name: str) -> None:
    persona = PersonaLibrary.read().get(name)
    for example in persona.examples:
        speech, actions = split_reply(example.reply)
        assert speech
        assert "[[" not in speech
        assert {action.name for action in actions} <= set(persona.actions)


def test_a_bad_persona_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    write(tmp_path, "miller", GOOD.format(name="miller"))
    write(tmp_path, "bad", "name: bad\ntitle: [")
    library = PersonaLibrary.read([tmp_path])
    assert "miller" in library.personas
    assert "persona.yaml" in library.faults["bad"]


def test_every_fault_of_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_persona(write(tmp_path, "bad", "name: bad\ntraits: []\ncolour: red\n"))
    assert all(part in str(caught.value) for part in ("traits", "colour", "title", "actions"))


def test_name_and_folder_must_agree(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make them equal"):
        load_persona(write(tmp_path, "miller", GOOD.format(name="baker")))


def test_what_is_unasked_must_be_allowed(tmp_path: Path) -> None:
    text = GOOD.format(name="miller").replace("on_request: [wave]", "on_request: [dig]")
    with pytest.raises(ConfigError, match="dig"):
        load_persona(write(tmp_path, "miller", text))


def test_an_unknown_persona_is_told_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match="builder, explorer, guard, trader"):
        PersonaLibrary.read().get("wizard")


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="personas_dirs"):
        PersonaLibrary.read([tmp_path / "absent"])


def test_the_example_persona_can_be_served() -> None:
    examples = Path(__file__).parents[2] / "examples" / "personas"
    assert PersonaLibrary.read([examples]).get("hermit").history == 0
