"""Scenarios, and rows that were held out -> cases: a scene, and what may and must not be done in it.

A suite file is a list of scenarios, each an authored exchange with a few more fields (docs/evaluation.md). It
refuses to know how a case is played: the observation is what a game would send.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from townsfolk.errors import ConfigError
from townsfolk.training.data.exchange import Exchange, Seen, Topic, read_scenes
from townsfolk.training.data.names import Names
from townsfolk.training.data.rows import DataRow
from townsfolk.training.evaluation.metrics import split_reply
from townsfolk.types import (
    EventKind,
    Name,
    Node,
    Observation,
    Persona,
    PersonaName,
    Text,
    Thing,
    fill,
)

T = TypeVar("T", Thing, Node)


class Scenario(Exchange):
    """An exchange whose reply is not given but judged."""

    persona: PersonaName | Literal[""] = ""
    """Who is asked; empty: every persona that may do `act`."""
    also: tuple[Text, ...] = ()
    """Actions that are as right as `act`; an empty one: none at all."""
    forbid: tuple[Text, ...] = ()
    """Must not be done: an action, or its beginning. `say WORDS`: must not be said."""
    called: Mapping[Seen, Text] = {}
    """What things of `near` are called, where players gave them names of their own."""
    player: Name = "sam"
    name: Text = "Odo"
    reply: Text = ""
    """A good answer, shown beside what was said; it is not compared."""
    topic: Topic = "odd"

    def observation(self, persona: str, names: Names, *, name: str, player: str) -> Observation:
        """As an exchange's, with what things are called."""
        seen = super().observation(persona, names, name=name, player=player)
        if not self.called or seen.around is None:
            return seen
        called = {fill(what, player=player, name=name).split(" ")[-1]: it for what, it in self.called.items()}
        around = seen.around.model_copy(
            update={
                "things": tuple(_titled(it, called) for it in seen.around.things),
                "nodes": tuple(_titled(it, called) for it in seen.around.nodes),
            }
        )
        return seen.model_copy(update={"around": around})


@dataclass(frozen=True)
class Case:
    """One scene for one persona.

    Attributes:
        wanted: insides of the tags that are right, the best one first; "": no action.
        forbidden: as in a scenario, names filled in.
        reference: what the author would have said; may be empty.
    """

    id: str
    persona: str
    observation: Observation
    wanted: tuple[str, ...]
    forbidden: tuple[str, ...] = ()
    remembers: str = ""
    reference: str = ""

    @property
    def said(self) -> str:
        """The player's words; empty where something else happened."""
        said = [it.text for it in self.observation.events if it.kind is EventKind.SPOKEN_TO]
        return said[-1] if said else ""

    @property
    def player(self) -> str:
        """Whom the villager deals with."""
        return self.observation.events[-1].who if self.observation.events else ""

    @property
    def happened(self) -> str:
        """One line that tells people what is answered."""
        last = self.observation.events[-1]
        if last.kind is EventKind.GIFT:
            return f"(gives {last.count} {last.name})"
        return self.said or f"({last.kind.value})"


def read_suite(file: Path, names: Names, personas: Iterable[Persona]) -> list[Case]:
    """The cases of a suite file, for those of `personas` that its scenarios are for.

    Raises:
        ConfigError: not there, too large, no YAML, no case for these personas; or lists every scenario that
            breaks the schema.
    """
    personas = list(personas)
    cases = [
        _case(scenario, f"{file.stem}/{number}", persona, names)
        for number, scenario in enumerate(read_scenes(file, Scenario), start=1)
        for persona in personas
        if _is_for(scenario, persona)
    ]
    if not cases:
        told = ", ".join(persona.name for persona in personas) or "none"
        raise ConfigError(f"{file}: no scenario is for the personas examined ({told}): name others")
    return cases


def row_cases(rows: Iterable[DataRow]) -> Iterator[Case]:
    """A case for each row that shows what a game sent and a reply to imitate."""
    for row in rows:
        if row.observation and row.observation.events and row.reward is None:
            tag, speech = split_reply(row.reply)
            yield Case(
                row.id, row.persona, row.observation, (tag,), remembers=row.remembers, reference=speech
            )


def _is_for(scenario: Scenario, persona: Persona) -> bool:
    if scenario.persona:
        return scenario.persona == persona.name
    return not scenario.act or scenario.act.split(" ")[0] in persona.actions


def _case(scenario: Scenario, name: str, persona: Persona, names: Names) -> Case:
    filled = partial(fill, player=scenario.player, name=scenario.name)
    return Case(
        id=f"{name}/{persona.name}",
        persona=persona.name,
        observation=scenario.observation(persona.name, names, name=scenario.name, player=scenario.player),
        wanted=tuple(map(filled, (scenario.act, *scenario.also))),
        forbidden=tuple(map(filled, scenario.forbid)),
        remembers=filled(scenario.remembers),
        reference=filled(scenario.reply),
    )


def _titled(it: T, called: Mapping[str, str]) -> T:
    return it.model_copy(update={"title": called[it.name]}) if it.name in called else it
