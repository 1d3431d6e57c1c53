"""Rows of a dataset -> tokens, as a villager with an adapter is served them."""

import pytest

from tiny_model import tiny_settings
from townsfolk.agents import PromptBuilder
from townsfolk.errors import ConfigError
from townsfolk.interpreter import defuse
from townsfolk.personas import PersonaLibrary
from townsfolk.serving.rehearsal import Rehearsal
from townsfolk.training.data.rows import DataRow
from townsfolk.types import Observation
from world import observation, said


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    return Rehearsal.open(tiny_settings(tmp_path_factory.mktemp("rehearsal")))


def row_of(seen: Observation | None, reply: str = "[[ACTION:wave]] Hello.", **fields: str) -> DataRow:
    scene = {"observation": seen} if seen else {}
    return DataRow.model_validate(
        {
            "id": "r",
            "persona": "explorer",
            "source": "authored",
            "group": "g",
            "reply": reply,
            **scene,
            **fields,
        }
    )


def test_a_row_is_the_prompt_that_is_served_and_a_reply_with_its_end(rehearsal: Rehearsal) -> None:
    row = rehearsal.row(row_of(observation().model_copy(update={"events": (said("hello"),)})))
    shown = rehearsal.decode(row.prompt)
    assert "You carry 4 bread." in shown
    assert "sam to Wren: hello" in shown  # for Alice
    assert rehearsal.decode(row.reply) == "[[ACTION:wave]] Hello."
    assert rehearsal.decode(row.reply[: row.acts]) == "[[ACTION:wave]]"
    assert rehearsal.decode(row.prompt[: row.shared]) in shown


def test_rows_of_a_persona_begin_alike(rehearsal: Rehearsal) -> None:
    one, other = (rehearsal.row(row_of(None, context=text)) for text in ("a: hi", "b: where is the well?"))
    assert one.shared == other.shared > 10
    assert one.prompt[: one.shared] == other.prompt[: other.shared]


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ("(Near: player sam 3 north.)\nsam to Old Ida: look: a wolf", "look: a wolf"),
        ("sam to Ida: hello", "hello"),
        ("sam gives Ida a present.", ""),
        ("What does Ida do?", ""),
    ],
)
def test_what_was_said_is_known_of_rows_from_play_too(rehearsal: Rehearsal, context: str, words: str) -> None:
    assert rehearsal.row(row_of(None, context=context)).said == words


def test_rows_are_written_anew_where_knowledge_or_room_changed(rehearsal: Rehearsal) -> None:
    library = PersonaLibrary.read()
    explorer = library.get("explorer")
    known = explorer.model_copy(update={"knowledge": explorer.knowledge[1:]})
    edited = PersonaLibrary({**library.personas, "explorer": known}, {})
    prompts, tokenizer = rehearsal._prompts, rehearsal.tokenizer
    narrow = PromptBuilder(prompts.template, prompts.max_tokens - 1, defuse)
    others = [
        Rehearsal(tokenizer, prompts, edited),
        Rehearsal(tokenizer, narrow, library),
    ]
    assert Rehearsal(tokenizer, prompts, library).fingerprint == rehearsal.fingerprint
    assert len({it.fingerprint for it in (rehearsal, *others)}) == 3


def test_what_is_remembered_is_told(rehearsal: Rehearsal) -> None:
    seen = observation().model_copy(update={"events": (said("hello"),)})
    assert "sam fell in a cave." in rehearsal.decode(
        rehearsal.row(row_of(seen, remembers="fell in a cave")).prompt
    )


def test_a_row_in_which_nothing_happens_is_told(rehearsal: Rehearsal) -> None:
    with pytest.raises(ConfigError, match="row r: nothing happens in it"):
        rehearsal.row(row_of(observation().model_copy(update={"events": ()})))
