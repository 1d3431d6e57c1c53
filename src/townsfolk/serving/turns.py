"""One villager's turn: occasion -> prompt -> tokens -> actions -> verdicts -> decisions, and its row."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from townsfolk.agents import Disguise, Occasion, PromptBuilder, Session, View, Window
from townsfolk.config import AgentSettings
from townsfolk.engine import GenerationRequest, TokenEvent
from townsfolk.errors import Busy
from townsfolk.policy.check import Policy
from townsfolk.serving.adapters import AdapterShelf, as_served
from townsfolk.serving.decode import Draft, Generator
from townsfolk.serving.delivery import Delivery
from townsfolk.serving.games import Cause, GameState
from townsfolk.serving.generate import Handle
from townsfolk.serving.offering import Offering
from townsfolk.types import Observation, Persona, Turn

WARM_PRIORITY = -1


@dataclass(frozen=True)
class TurnRunner:
    """Runs the turns of villagers in games."""

    generator: Generator
    prompts: PromptBuilder
    policy: Policy
    shelf: AdapterShelf
    settings: AgentSettings
    warming: set[tuple[str, str | None]] = field(default_factory=set)
    """Personas, with their adapters, whose opening is being prefilled for the first time."""
    warms: dict[str, list[Handle]] = field(default_factory=dict)
    """Persona -> the latest prefills of its opening."""

    def warm(self, persona: Persona, *, first: bool = False) -> None:
        """Prefill what all prompts of a persona begin with: no first answer need wait for it.

        Args:
            first: the service starts, and is not ready before it is done. When an adapter is swapped later,
                turns go on meanwhile. Openings of earlier adapters stay cached while there is room: to roll
                back costs nothing.
        """
        for handle in self.warms.pop(persona.name, ()):
            handle.cancel()  # its adapter may be swapped out already
        for adapter, prefills in self.shelf.openings(persona.name).items():
            request = GenerationRequest(
                sequence_id=f"opening/{persona.name}/{adapter}",
                prompt=self.prompts.opening(as_served(persona, adapter)),
                max_tokens=1,
                adapter=prefills,
                priority=WARM_PRIORITY,
            )
            self._warm(request, (persona.name, adapter), first=first)

    def _warm(self, request: GenerationRequest, key: tuple[str, str | None], *, first: bool) -> None:
        try:
            if first:
                self.warming.add(key)  # before the engine's thread may call back
            handle = self.generator.engine.submit(request, partial(self._warmed, key))
            self.warms.setdefault(key[0], []).append(handle)
        except Busy:
            self.warming.discard(key)

    def _warmed(self, key: tuple[str, str | None], event: TokenEvent) -> None:
        if event.finished:
            self.warming.discard(key)

    def cause(self, observation: Observation, occasion: Occasion) -> Cause:
        """Why a turn is to be taken; its time begins now. A player waits longer than what was seen holds."""
        settings = self.settings
        timeout_ms = settings.turn_timeout_ms if occasion.speech else settings.decision_timeout_ms
        return Cause(observation, occasion, time.monotonic() + timeout_ms / 1000)

    async def run(
        self,
        state: GameState,
        session: Session,
        persona: Persona,
        view: View,
        cause: Cause,
        turn_id: str,
        on_first_part: Callable[[], None],
    ) -> Turn:
        """Decode one turn; its parts go to the game as they are ready. Gives the turn to be stored.

        To the KV cache a villager's decisions and its speech are two sequences, which share what is alike and
        do not drop each other's ends: a tick at which nothing is new runs one token.

        The model is told of players by stand-ins; what it says of them has their names before it is judged.

        Raises:
            Busy, ModelError, AdapterError: nothing was decided, or not all of it.
        """
        occasion = cause.occasion
        adapter = self.shelf.hash_of(persona.name, session.key)
        own, persona = persona, as_served(persona, adapter)
        turn = Delivery(self.policy, state, session, persona, view, cause, turn_id)
        disguise = Disguise.of(session, view, occasion, state.matcher.vocabulary)
        window = partial(self.prompts.window, session, view, occasion, persona)
        shown, context = window(disguise), window(Disguise())
        offers = Offering(self.policy, state, own, persona, occasion, view).offers()
        draft, started = Draft(), time.time()
        parts = self.generator.parts(
            draft,
            sequences_of(session.key)[not occasion.speech],
            self.prompts.build(session, persona, shown, occasion.player),
            adapter,
            disguise.offers(offers),
            persona.sampling,
            speech=occasion.speech,
            optional=persona.unaided,
            deadline=cause.deadline,
        )
        async for part in parts:
            if not turn.sent:
                on_first_part()
            turn.deliver(part.told_by(disguise.named))
        turn.close(draft.finish)
        reply = disguise.named(draft.text)
        if reply:
            confidant = occasion.player if occasion.private else ""
            about = frozenset(disguise.names)
            session.add_window(Window(shown, draft.text, confidant, about), persona.history)
            session.said = reply
        return turn.record(context, replace(draft, text=reply), adapter, started)


def sequences_of(villager: str) -> tuple[str, str]:
    """What the KV cache knows a villager by: its speech, its decisions."""
    return villager, f"{villager}/decides"
