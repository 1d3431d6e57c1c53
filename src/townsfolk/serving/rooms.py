"""The stages, built from the settings and handed round as one object."""

import logging
from contextlib import ExitStack, closing
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from townsfolk.agents import PromptBuilder
from townsfolk.config import Settings
from townsfolk.engine import Engine
from townsfolk.feedback.behaviour_log import BehaviourLog
from townsfolk.feedback.store import Store
from townsfolk.interpreter import ChoiceCompiler, GrammarCompiler
from townsfolk.personas import PersonaLibrary
from townsfolk.policy.check import Policy
from townsfolk.policy.rules import SHIPPED, load_rules
from townsfolk.serving.adapters import AdapterShelf
from townsfolk.serving.decode import Generator
from townsfolk.serving.memory import MemoryGuard, give_back
from townsfolk.serving.metrics import Metrics, readings_of_engine, readings_of_shelf, readings_of_store
from townsfolk.serving.promotions import Promotions
from townsfolk.serving.prompts import prompt_builder
from townsfolk.serving.recall import recall
from townsfolk.serving.rewards import RewardModel
from townsfolk.serving.turns import TurnRunner
from townsfolk.serving.violations import flag_violations
from townsfolk.types import ForgetPlayer, Turn

log = logging.getLogger(__name__)


@dataclass
class Rooms:
    """Everything a village needs. `open` builds it, `close` ends it in the right order."""

    settings: Settings
    library: PersonaLibrary
    engine: Engine
    store: Store
    behaviour_log: BehaviourLog
    policy: Policy
    shelf: AdapterShelf
    promotions: Promotions
    prompts: PromptBuilder
    generator: Generator
    turns: TurnRunner
    memory: MemoryGuard
    metrics: Metrics
    registry: CollectorRegistry

    @classmethod
    def open(cls, settings: Settings) -> "Rooms":
        """Read personas, rules and model; open the store.

        Raises:
            ConfigError, ModelError, AdapterError, StoreError: what can't be used, and the remedy.
        """
        library = PersonaLibrary.read(settings.personas_dirs)
        library.get(settings.default_persona)
        for name, reason in library.faults.items():
            log.warning("persona %s is left out: %s", name, reason)
        policy = Policy(settings.policy, load_rules(settings.policy.rules or SHIPPED))
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        with ExitStack() as undo:
            engine = undo.enter_context(Engine.open(settings.engine, metrics.passed))
            prompts = prompt_builder(engine.tokenizer, engine.model.context, settings)
            behaviour_log = undo.enter_context(closing(BehaviourLog(settings.store.behaviour_log)))
            store = undo.enter_context(closing(Store.open(settings.store)))
            recall(policy, store)
            dirs = (*settings.adapters_dirs, settings.promotion.registry_dir)
            shelf = AdapterShelf(engine, library, dirs, store, settings.pinned_personas)
            promotions = Promotions(shelf, library, store, settings.promotion, engine.base_hash)
            promotions.follow()
            tokenizer = engine.tokenizer
            grammars = GrammarCompiler(tokenizer)
            choices = ChoiceCompiler(tokenizer.encode, tokenizer.vocab_size)
            folder = settings.agents.reward_model
            rewards = RewardModel.load(engine, folder, [folder]) if folder else None
            generator = Generator(engine, grammars, choices, settings.agents, rewards)
            turns = TurnRunner(generator, prompts, policy, shelf, settings.agents)
            for persona in library.personas.values():
                turns.warm(persona, first=True)
            undo.pop_all()
        stages = (library, engine, store, behaviour_log, policy, shelf, promotions)
        memory = MemoryGuard(settings.memory_limit_mb, engine, shelf)
        rooms = cls(settings, *stages, prompts, generator, turns, memory, metrics, registry)
        rooms._expose()
        give_back()  # opening them takes more than serving does
        return rooms

    def _expose(self) -> None:
        read = self.metrics.read
        read("engine", lambda: readings_of_engine(self.engine))
        read("store", lambda: readings_of_store(self.store))
        read("shelf", lambda: readings_of_shelf(self.shelf, self.library.personas))
        read("readiness", lambda: [("townsfolk_ready", self.readiness()[0], ())])

    def readiness(self) -> tuple[bool, str]:
        """Whether turns can be served, and what is amiss; a database that is away does not stop them."""
        if not self.engine.alive:
            return False, "the engine has stopped: restart the service"
        under_way = tuple(self.turns.warming)  # in one step: the engine's thread takes from it
        warming = ", ".join(sorted({name for name, _ in under_way}))
        if warming:
            return False, f"prefilling the openings of {warming}: wait some seconds"
        return True, "the database is away: rows wait in the spool" if self.store.stats().last_error else ""

    def keep(self, turn: Turn) -> None:
        """Store a turn, log its actions, count it, flag what it broke. Waits for nothing."""
        self.store.record_turn(turn)
        self.behaviour_log.proposed(turn)
        self.metrics.turns.labels(turn.finish).inc()
        for action, verdict in zip(turn.actions, turn.verdicts, strict=True):
            outcome = "allowed" if verdict.allowed else "refused"
            self.metrics.actions.labels(turn.persona, action.name, outcome).inc()
        flag_violations(self, turn)

    def forget(self, player: ForgetPlayer) -> None:
        """Returns when it is durable. Raises StoreError."""
        self.store.forget(player)
        self.behaviour_log.forget(player)

    def close(self) -> None:
        """Stop decoding, then flush what was recorded."""
        self.engine.close()
        self.store.close()
        self.behaviour_log.close()
