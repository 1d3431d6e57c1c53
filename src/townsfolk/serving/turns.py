"""One villager's turn: occasion -> prompt -> tokens -> actions -> verdicts -> decisions, and its row."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from townsfolk.agents import Occasion, PromptBuilder, Session, View, Window, offers_for, told
from townsfolk.config import AgentSettings
from townsfolk.engine import GenerationRequest, RequestHandle, TokenEvent
from townsfolk.errors import Busy
from townsfolk.policy.check import Policy
from townsfolk.serving.adapters import AdapterShelf
from townsfolk.serving.decode import Draft, Generator
from townsfolk.serving.delivery import Delivery
from townsfolk.serving.games import GameState
from townsfolk.types import Persona, Turn

WARM_PRIORITY = -1


@dataclass(frozen=True)
class TurnRunner:
    """Runs the turns of villagers in games."""

    generator: Generator
    prompts: PromptBuilder
    policy: Policy
    shelf: AdapterShelf
    settings: AgentSettings
    warming: set[str] = field(default_factory=set)
    """Personas whose opening is being prefilled for the first time."""
    warms: dict[str, RequestHandle] = field(default_factory=dict)
    """Persona -> the latest prefill of its opening."""

    def warm(self, persona: Persona, *, first: bool = False) -> None:
        """Prefill what all prompts of a persona begin with: no first answer need wait for it.

        Args:
            first: the service starts, and is not ready before it is done. When an adapter is swapped later,
                turns go on meanwhile. Openings of earlier adapters stay cached while there is room: to roll
                back costs nothing.
        """
        adapter = self.shelf.hash_for_opening(persona.name)
        request = GenerationRequest(
            sequence_id=f"opening/{persona.name}/{adapter}",
            prompt=self.prompts.opening(self.shelf.as_served(persona)),
            max_tokens=1,
            adapter=adapter,
            priority=WARM_PRIORITY,
        )
        if persona.name in self.warms:
            self.warms[persona.name].cancel()  # its adapter may be swapped out already
        try:
            if first:
                self.warming.add(persona.name)  # before the engine's thread may call back
            handle = self.generator.engine.submit(request, partial(self._warmed, persona.name))
            self.warms[persona.name] = handle
        except Busy:
            self.warming.discard(persona.name)

    def _warmed(self, name: str, event: TokenEvent) -> None:
        if event.finished:
            self.warming.discard(name)

    async def run(
        self,
        state: GameState,
        session: Session,
        persona: Persona,
        view: View,
        occasion: Occasion,
        turn_id: str,
        on_first_part: Callable[[], None],
    ) -> Turn:
        """Decode one turn; its parts go to the game as they are ready. Gives the turn to be stored.

        To the KV cache a villager's decisions and its speech are two sequences, which share what is alike and
        do not drop each other's ends: a tick at which nothing is new runs one token.

        Raises:
            Busy, ModelError, AdapterError: nothing was decided, or not all of it.
        """
        persona = self.shelf.as_served(persona)
        turn = Delivery(self.policy, state, session, persona, view, occasion, turn_id)
        asked = state.matcher.asked(occasion.text, view) if occasion.speech else ()
        text = self.prompts.window_text(session, occasion, told(session, view, occasion, persona))
        offers = offers_for(state.game.actions, _open_to(persona, occasion, asked), view)
        adapter = self.shelf.hash_of(persona.name)
        draft, started = Draft(), time.time()
        parts = self.generator.parts(
            draft,
            session.key if occasion.speech else f"{session.key}/decides",
            self.prompts.build(session, persona, text),
            adapter,
            offers,
            persona.sampling,
            speech=occasion.speech,
            optional=persona.unaided,
            deadline=time.monotonic() + self.settings.turn_timeout_ms / 1000,
        )
        async for part in parts:
            if not turn.sent:
                on_first_part()
            turn.deliver(part)
        turn.close(draft.finish)
        if draft.text:
            session.add_window(Window(text, draft.text))
        return turn.record(text, draft, adapter, started)


def _open_to(persona: Persona, occasion: Occasion, asked: Collection[str]) -> set[str]:
    """What it was asked for and does on request, else what the persona does of itself on this occasion."""
    unasked: tuple[str, ...] = getattr(persona.unasked, occasion.kind.value)
    if persona.unaided:
        return set(unasked)
    return set(asked) & set(persona.on_request) or set(unasked)
