"""A model by its prompt alone: told how an action is written and what things are named, held by no grammar.

So peers are measured beside what our software does for a model that was not tuned: nothing is chosen for them
by phrases, and no tag is closed for them. It refuses to decode: only prompts are made here.
"""

from collections.abc import Iterator, Sequence

from townsfolk.agents import Occasion, PromptBuilder, Session, View, called_in
from townsfolk.interpreter import CLOSE, OPEN
from townsfolk.types import Persona, words

RULE = f"Where an action is asked for, begin your answer with it in brackets, as {OPEN}wave{CLOSE}."
"""Of those tried the best: told all actions by name, models wrote more tags, and fewer of them right."""


def by_prompt_alone(persona: Persona) -> Persona:
    """The persona as such a model is shown it."""
    return persona.model_copy(update={"speech": f"{persona.speech} {RULE}"})


class PromptAlone(PromptBuilder):
    """Prompts that name things as tags have to: where a grammar holds a model, that gives the names."""

    def window_text(self, session: Session, occasion: Occasion, told: Sequence[str]) -> str:
        """This turn's context window, with the names of what the player's words touch."""
        names = _names(session.view, occasion.text) if session.view else ()
        return super().window_text(session, occasion, [*told, *names])


def _names(view: View, text: str) -> Iterator[str]:
    said = {*words(text)}
    touched = ((name, title) for name, title in called_in(view) if said & {*words(title)})
    yield from dict.fromkeys(f"The name of {title} is {name}." for name, title in touched)
