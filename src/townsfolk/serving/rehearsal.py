"""Rows of a dataset -> tokens: each prompt is written just as a villager with an adapter is served it.

It goes through the same session, view and prompt as a turn in the game does, so that what is trained is what
will be shown; how it is learnt is the training stages' business.
"""

import hashlib
import json
from functools import cached_property
from itertools import takewhile

from townsfolk.agents import Disguise, Occasion, PromptBuilder, Session, occasion_in, unaided
from townsfolk.agents.prompt import told_in
from townsfolk.agents.template import ChatTemplate
from townsfolk.config import Settings
from townsfolk.engine import ModelTokenizer, open_model
from townsfolk.engine.model import Model
from townsfolk.errors import ConfigError
from townsfolk.interpreter import CLOSE, OPEN
from townsfolk.personas import PersonaLibrary
from townsfolk.serving.prompts import prompt_builder
from townsfolk.training.data.rows import DataRow
from townsfolk.training.stages.tokens import Ids, TokenRow
from townsfolk.types import EventKind, Memory, Observation, Persona
from townsfolk.types.stand_ins import NO_WORDS

GAME = "rehearsal"


class Rehearsal:
    """Writes prompts and replies of rows in the tokens of one base model."""

    def __init__(self, tokenizer: ModelTokenizer, prompts: PromptBuilder, library: PersonaLibrary) -> None:
        self.tokenizer, self._prompts, self._library = tokenizer, prompts, library
        self._openings: dict[str, Ids] = {}

    @classmethod
    def open(cls, settings: Settings) -> "Rehearsal":
        """For the base model and the personas of `settings`; no weights are read.

        Raises:
            ConfigError, ModelError: what can't be used, and the remedy.
        """
        return cls.on(open_model(settings.engine.model), settings)

    @classmethod
    def on(cls, model: Model, settings: Settings) -> "Rehearsal":
        """For a base model that is open already. Raises as `open`."""
        tokenizer = ModelTokenizer(model.metadata)
        prompts = prompt_builder(tokenizer, model.params.context, settings)
        return cls(tokenizer, prompts, PersonaLibrary.read(settings.personas_dirs))

    def row(self, row: DataRow) -> TokenRow:
        """The row as the model is to see it.

        Raises:
            UnknownName: there is no such persona.
            ConfigError: nothing in the row's observation is an occasion to speak or act.
        """
        persona = unaided(self._library.get(row.persona))
        session, window, disguise = self._window(row, persona)
        prompt = tuple(self._prompts.build(session, persona, window))
        reply = disguise.hidden(row.reply)
        return TokenRow(
            id=row.id,
            persona=row.persona,
            group=row.group,
            prompt=prompt,
            shared=_common(self._opening(persona), prompt),
            reply=self._reply(reply),
            acts=self._acts(reply),
            rejected=self._reply(disguise.hidden(row.rejected)) if row.rejected else (),
            reward=row.reward,
            weight=row.weight,
            said=disguise.hidden(_said(row)),
            adverse=row.adverse,
        )

    def window(self, row: DataRow) -> str:
        """What the villager is told in the row's turn, as text."""
        return self._window(row, unaided(self._library.get(row.persona)))[1]

    def decode(self, ids: Ids) -> str:
        """The text of a reply."""
        return self.tokenizer.decode(ids)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when rows would become other tokens: caches of TokenRows are keyed by it."""
        personas = [persona.model_dump_json() for _, persona in sorted(self._library.personas.items())]
        made_of = [self.template_hash, self._prompts.max_tokens, *NO_WORDS, *personas]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()

    @property
    def template_hash(self) -> str:
        """Of the base model's chat template, sha256."""
        return self.template.content_hash

    @property
    def template(self) -> ChatTemplate:
        """The base model's."""
        return self._prompts.template

    def _window(self, row: DataRow, persona: Persona) -> tuple[Session, str, Disguise]:
        if row.observation is None:
            return Session(GAME, row.id, 1), row.context, Disguise()
        session, occasion = _seen(row, row.observation)
        view = session.observe(row.observation)
        disguise = Disguise.of(session, view, occasion)
        return session, self._prompts.window(session, view, occasion, persona, disguise), disguise

    def _reply(self, text: str) -> Ids:
        return (*self.tokenizer.encode(text), self.tokenizer.eos_id)

    def _acts(self, text: str) -> int:
        tag, closed, _ = text.partition(CLOSE)
        return len(self.tokenizer.encode(tag + closed)) if closed and text.startswith(OPEN) else 1

    def _opening(self, persona: Persona) -> Ids:
        if persona.name not in self._openings:
            self._openings[persona.name] = tuple(self._prompts.opening(persona))
        return self._openings[persona.name]


def _seen(row: DataRow, observation: Observation) -> tuple[Session, Occasion]:
    """The session of a villager that has just heard of the observation's events."""
    session = Session(GAME, observation.villager_id, 1)
    occasion = occasion_in(observation.events)
    if occasion is None:
        raise ConfigError(f"row {row.id}: nothing happens in it: give it an event such as spoken_to")
    if row.remembers:
        session.memories[occasion.player] = Memory(
            game_id=GAME, villager_id=session.villager_id, player=occasion.player, facts=(row.remembers,)
        )
    session.remember(session.news(observation.events))
    return session, occasion


def _said(row: DataRow) -> str:
    """What the villager was told."""
    if row.observation is None:
        return told_in(row.context)
    return next((event.text for event in row.observation.events if event.kind is EventKind.SPOKEN_TO), "")


def _common(opening_ids: Ids, prompt: Ids) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(opening_ids, prompt, strict=False)))
