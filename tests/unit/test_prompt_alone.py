"""What a model without our crutches is told: how an action is written, and what things are named."""

import pytest

from tiny_model import write_tiny_model
from townsfolk.agents import ChatTemplate, Session, occasion_in
from townsfolk.engine import ModelTokenizer, open_model
from townsfolk.interpreter import defuse
from townsfolk.personas import PersonaLibrary
from townsfolk.serving.prompt_alone import RULE, PromptAlone, by_prompt_alone
from world import observation, said

EXPLORER = PersonaLibrary.read().get("explorer")


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> PromptAlone:
    file = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_tiny_model(file)
    tokenizer = ModelTokenizer(open_model(file).metadata)
    return PromptAlone(ChatTemplate(tokenizer.chat_template, tokenizer), 400, defuse)


def window(prompts: PromptAlone, text: str) -> str:
    session, seen = Session("game", "wren", 1), observation(said(text))
    session.observe(seen)
    occasion = occasion_in(seen.events)
    assert occasion
    return prompts.window_text(session, occasion, ["It is night."])


def test_names_are_told_of_what_the_words_touch(prompts: PromptAlone) -> None:
    told = window(prompts, "is bread in the chest?")
    names = "The name of bread is default:bread. The name of Chest is default:chest."
    assert told == f"(It is night. {names})\nAlice to Wren: is bread in the chest?"


def test_nothing_is_named_where_nothing_is_touched(prompts: PromptAlone) -> None:
    assert window(prompts, "hello").startswith("(It is night.)\n")


def test_the_form_of_an_action_is_told_and_examples_stay() -> None:
    shown = by_prompt_alone(EXPLORER)
    assert shown.speech == f"{EXPLORER.speech} {RULE}"
    assert shown.examples == EXPLORER.examples
    assert not shown.unaided
