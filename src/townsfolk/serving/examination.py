"""Cases -> replies of what is served: the rooms of the service without its wire, decided greedily.

A case goes the way of a game's observation: session, occasion, `TurnRunner`, policy. So whatever is served is
what is measured. It refuses to judge.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from townsfolk.agents import Session, occasion_in
from townsfolk.config import Settings, StoreSettings
from townsfolk.engine import base_reference
from townsfolk.errors import ConfigError
from townsfolk.interpreter import ChoiceCompiler, GrammarCompiler, defuse
from townsfolk.serving.decode import Generator
from townsfolk.serving.games import GameState
from townsfolk.serving.generate import Decoder
from townsfolk.serving.prompt_alone import PromptAlone, by_prompt_alone
from townsfolk.serving.prompts import prompt_builder
from townsfolk.serving.rehearsal import Rehearsal
from townsfolk.serving.rooms import Rooms
from townsfolk.serving.turns import TurnRunner
from townsfolk.training.data.rows import DataRow
from townsfolk.training.evaluation.marks import Played
from townsfolk.training.evaluation.metrics import Logits, divergence
from townsfolk.training.evaluation.scenarios import Case
from townsfolk.types import ActionSpec, Game, Memory, Persona, StepReply, Turn

GAME_ID = "examination"
PATIENCE_MS = 120_000
"""A busy machine is no fault of the model's."""

Told = Callable[[], None]
"""Called as each case is done."""


def decided(persona: Persona) -> Persona:
    """Speech is the likeliest, too."""
    return _sampled(persona, temperature=0)


def greedy(persona: Persona) -> Persona:
    """Nor is anything repeated less than the model likes: without a grammar that would spoil tags."""
    return _sampled(persona, temperature=0, repetition_penalty=1)


def _sampled(persona: Persona, **by: float) -> Persona:
    return persona.model_copy(update={"sampling": persona.sampling.model_copy(update=by)})


class Examiner:
    """Plays cases, many at once, with the adapters that it was told to serve."""

    def __init__(
        self,
        rooms: Rooms,
        actions: Sequence[ActionSpec],
        turns: TurnRunner | None = None,
        shown: Callable[[Persona], Persona] = decided,
    ) -> None:
        """Args: turns: None: those of `rooms`. shown: the persona as the model is to see it."""
        self._rooms, self._turns, self._shown = rooms, turns or rooms.turns, shown
        self._game = Game(game_id=GAME_ID, actions=tuple(actions))
        self._rehearsal = Rehearsal(rooms.engine.tokenizer, rooms.prompts, rooms.library)
        self._met_so_far = 0

    @classmethod
    @contextmanager
    def open(
        cls, settings: Settings, actions: Sequence[ActionSpec], adapter_dirs: Iterable[Path] = ()
    ) -> Iterator["Examiner"]:
        """The rooms that `settings` name, with a store of their own that is thrown away.

        Args:
            actions: the registry that villagers decide by.
            adapter_dirs: folders that `serve` may take adapters from, beside those of the settings.

        Raises:
            ConfigError, ModelError: what can't be used, and the remedy.
        """
        with TemporaryDirectory(prefix="townsfolk-eval-") as folder:
            rooms = Rooms.open(_aside(settings, Path(folder), adapter_dirs))
            try:
                yield cls(rooms, actions)
            finally:
                rooms.close()

    def with_decoder(self, decoder: Decoder, context: int) -> "Examiner":
        """The same, but for what decodes: another model of `context` tokens, shown what the base model is."""
        tokenizer, settings = decoder.tokenizer, self._rooms.settings
        generator = Generator(
            decoder,
            GrammarCompiler(tokenizer),
            ChoiceCompiler(tokenizer.encode, tokenizer.vocab_size),
            settings.agents,
        )
        prompts = prompt_builder(tokenizer, context, settings)
        turns = TurnRunner(generator, prompts, self._rooms.policy, self._rooms.shelf, settings.agents)
        return Examiner(self._rooms, self._game.actions, turns)

    def unheld(self) -> "Examiner":
        """The same, but held by no grammar: tags are as the model itself writes them."""
        turns = replace(self._turns, generator=replace(self._turns.generator, held=False))
        return Examiner(self._rooms, self._game.actions, turns, greedy)

    def prompt_alone(self) -> "Examiner":
        """The same, but by prompts that stand in for all that turns do for a model without an adapter."""
        free = self.unheld()._turns
        prompts = PromptAlone(free.prompts.template, free.prompts.max_tokens, defuse)
        turns = replace(free, prompts=prompts)
        return Examiner(self._rooms, self._game.actions, turns, lambda it: by_prompt_alone(greedy(it)))

    def serve(self, adapters: Mapping[str, Path | None]) -> None:
        """Serve each persona with the adapter in its folder; with None by the base model alone.

        Raises:
            AdapterError: says what is wrong with it.
            UnknownName: there is no such persona.
        """
        for persona, folder in adapters.items():
            if folder:
                self._rooms.shelf.load(persona, folder)
            elif self._rooms.shelf.hash_of(persona):
                self._rooms.shelf.unload(persona)
            self._rooms.turns.warm(self._rooms.library.get(persona))

    def served(self, persona: str) -> str:
        """Content hash of the persona's adapter; empty: the base model alone."""
        return self._rooms.shelf.hash_of(persona) or ""

    @property
    def about(self) -> Mapping[str, str]:
        """What it runs on."""
        engine = self._rooms.engine
        return {
            "base": base_reference(self._rooms.settings.engine.model.name, engine.base_hash),
            "template_hash": self._rehearsal.template_hash,
            "runner": engine.runner_name,
        }

    def play(self, cases: Sequence[Case], at_once: int = 8, told: Told = lambda: None) -> list[Played]:
        """The reply to each of `cases`, in order.

        Args:
            at_once: how many turns are under way together; 1 gives the times of a quiet service.

        Raises:
            ConfigError: a case in which nothing happens that is answered.
        """
        return asyncio.run(self._play_all(cases, at_once, told))

    async def _play_all(self, cases: Sequence[Case], at_once: int, told: Told) -> list[Played]:
        places = asyncio.Semaphore(at_once)

        async def one(case: Case) -> Played:
            async with places:
                played = await self._play(case)
            told()
            return played

        return await asyncio.gather(*map(one, cases))

    def distance(self, played: Iterable[Played], parent: Path | None) -> float:
        """Mean KL in nats a token from the persona's adapter, as served, to `parent`.

        Args:
            played: replies of one persona, which its adapter has decoded.
            parent: None: the base model alone.

        Raises:
            AdapterError: says what is wrong with the parent.
        """
        settings, engine = self._rooms.settings, self._rooms.engine
        theirs = engine.load_adapter(parent, settings.adapters_dirs).content_hash if parent else None
        return fmean(
            divergence(self._logits(it, self.served(it.case.persona) or None), self._logits(it, theirs))
            for it in played
        )

    def _logits(self, it: Played, adapter: str | None) -> Logits:
        """What is likely at each token of the reply, its end among them, [tokens, vocab]."""
        row = self._rehearsal.row(
            DataRow(
                id=it.case.id,
                persona=it.case.persona,
                source="authored",
                group=it.case.id,
                observation=it.case.observation,
                remembers=it.case.remembers,
                reply=it.reply,
            )
        )
        return self._rooms.engine.score((*row.prompt, *row.reply[:-1]), adapter, wanted=len(row.reply))

    async def _play(self, case: Case) -> Played:
        state, session, started = GameState(self._game), self._met(case), time.monotonic()
        view = session.observe(case.observation)
        events = session.news(case.observation.events)
        session.remember(events)
        occasion = occasion_in(events)
        if occasion is None:
            raise ConfigError(f"{case.id}: nothing in it is answered: give it said, gift or punched")
        persona = self._shown(self._rooms.library.get(case.persona))
        cause = self._turns.cause(case.observation, occasion)
        turn = await self._turns.run(state, session, persona, view, cause, session.villager_id, lambda: None)
        return _played(case, turn, await state.take(0), (time.monotonic() - started) * 1000)

    def _met(self, case: Case) -> Session:
        """A session of a villager that nobody has spoken with, but for what the case remembers."""
        self._met_so_far += 1
        session = Session(GAME_ID, f"villager-{self._met_so_far}", 1)
        if case.remembers:
            session.memories[case.player] = Memory(
                game_id=GAME_ID,
                villager_id=session.villager_id,
                player=case.player,
                facts=(case.remembers,),
            )
        return session


def _played(case: Case, turn: Turn, told: StepReply, ms: float) -> Played:
    """Args: told: what came to the game."""
    done = tuple(action.tag() for decision in told.decisions for action in decision.actions)
    heard = " ".join(decision.speech for decision in told.decisions if decision.speech)
    return Played(case, turn.reply, done, heard, ms)


def _aside(settings: Settings, folder: Path, adapter_dirs: Iterable[Path]) -> Settings:
    """`settings` that keep nothing, know of no versions on trial and are in no hurry."""
    store = StoreSettings(
        url=f"sqlite:///{folder / 'turns.db'}", spool_dir=folder / "spool", behaviour_log=folder / "log.jsonl"
    )
    return settings.model_copy(
        update={
            "store": store,
            "promotion": settings.promotion.model_copy(update={"registry_dir": folder / "registry"}),
            "agents": settings.agents.model_copy(
                update={"turn_timeout_ms": PATIENCE_MS, "decision_timeout_ms": PATIENCE_MS}
            ),
            "adapters_dirs": (*settings.adapters_dirs, *adapter_dirs),
        }
    )
