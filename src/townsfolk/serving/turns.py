"""One villager's turn: occasion -> prompt -> tokens -> actions -> verdicts -> decisions, and its row."""

import time
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from townsfolk.agents import (
    Occasion,
    PromptBuilder,
    Session,
    View,
    Window,
    echoes,
    facts,
    offers_for,
)
from townsfolk.config import AgentSettings
from townsfolk.engine import (
    Detokenizer,
    Engine,
    Finish,
    GenerationRequest,
    SamplingParams,
    Timings,
    TokenEvent,
)
from townsfolk.errors import Busy, ModelError
from townsfolk.interpreter import GrammarCompiler, Part, StreamParser, reply_grammar
from townsfolk.policy.check import Policy
from townsfolk.serving.adapters import AdapterShelf
from townsfolk.serving.games import GameState
from townsfolk.serving.generate import generate
from townsfolk.types import Action, Decision, Offer, Persona, Sampling, Turn, Verdict

DECISION_PRIORITY = 1
SPEECH_PRIORITY = 0
WARM_PRIORITY = -1


@dataclass
class Draft:
    """A reply while it is decoded."""

    text: str = ""
    parts: list[Part] = field(default_factory=list)
    tokens: int = 0
    finish: Finish = "stop"
    timings: Timings | None = None


@dataclass(frozen=True)
class Generator:
    """Decodes replies held by a grammar. Shared by game turns, `Infer` and chats."""

    engine: Engine
    compiler: GrammarCompiler
    settings: AgentSettings

    async def parts(
        self,
        draft: Draft,
        sequence_id: str,
        prompt: list[int],
        adapter: str | None,
        offers: Sequence[Offer],
        sampling: Sampling,
        *,
        speech: bool,
        deadline: float,
        max_tokens: int | None = None,
    ) -> AsyncGenerator[Part, None]:
        """Parts of the reply as they are complete; `draft` holds all of it when the generator ends.

        Raises:
            Busy, AdapterError, InvalidRequest: as `Engine.submit`.
            ModelError: the pass failed.
        """
        tokenizer, parser = self.engine.tokenizer, StreamParser()
        detokenizer = Detokenizer(tokenizer)
        request = GenerationRequest(
            sequence_id=sequence_id,
            prompt=prompt,
            max_tokens=max_tokens or self.settings.max_reply_tokens,
            adapter=adapter,
            sampling=SamplingParams(sampling.temperature, sampling.top_p, 0, sampling.repetition_penalty),
            constraint=self.compiler.constraint(reply_grammar(offers, speech), sharp=speech and bool(offers)),
            stop_tokens=frozenset({tokenizer.eos_id}),
            priority=SPEECH_PRIORITY if speech else DECISION_PRIORITY,
            deadline=deadline,
        )
        async for event in generate(self.engine, request):
            text = detokenizer.add(event.tokens)
            draft.text += text
            draft.tokens += len(event.tokens)
            for part in parser.feed(text):
                draft.parts.append(part)
                yield part
            if event.finished:
                draft.finish, draft.timings = event.finished, event.timings
                if event.finished == "error":
                    raise ModelError(event.error)
        for part in self._rest(draft, parser):
            draft.parts.append(part)
            yield part

    def _rest(self, draft: Draft, parser: StreamParser) -> list[Part]:
        """The last sentence. One that was cut off is left out, unless nothing else was said."""
        rest = parser.end()
        if draft.finish == "stop" or not rest:
            return rest
        if any(part.speech for part in draft.parts):
            draft.text = draft.text.rstrip()[: -len(rest[0].speech)].rstrip()
            return []
        return [Part(speech=f"{rest[0].speech}…")]


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

    def warm(self, persona: Persona, *, first: bool = False) -> None:
        """Prefill what all prompts of a persona begin with: no first answer need wait for it.

        Args:
            first: the service starts, and is not ready before it is done. When an adapter is swapped later,
                turns go on meanwhile.
        """
        request = GenerationRequest(
            sequence_id=f"opening/{persona.name}",
            prompt=self.prompts.opening(persona),
            max_tokens=1,
            adapter=self.shelf.hash_of(persona.name),
            priority=WARM_PRIORITY,
        )
        try:
            if first:
                self.warming.add(persona.name)  # before the engine's thread may call back
            self.generator.engine.submit(request, partial(self._warmed, persona.name))
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

        Raises:
            Busy, ModelError, AdapterError: nothing was decided, or not all of it.
        """
        turn = _Delivery(self.policy, state, session, persona, view, occasion, turn_id)
        asked = state.matcher.asked(occasion.text, view) if occasion.speech else ()
        known = facts(occasion.text, view, persona, session.name) if occasion.speech else ()
        text = self.prompts.window_text(session, view, occasion, known)
        offers = offers_for(state.game.actions, _open_to(persona, occasion, asked), view)
        adapter = self.shelf.hash_of(persona.name)
        draft, started = Draft(), time.time()
        parts = self.generator.parts(
            draft,
            session.key,
            self.prompts.build(session, persona, text),
            adapter,
            offers,
            persona.sampling,
            speech=occasion.speech,
            deadline=time.monotonic() + self.settings.turn_timeout_ms / 1000,
        )
        async for part in parts:
            if not turn.sent:
                on_first_part()
            turn.deliver(part)
        turn.close(draft.finish)
        if draft.text:
            session.add_window(Window(text, draft.text))
        return turn.record(text, draft, adapter or "", started)


class _Delivery:
    """Judges the parts of one turn and hands them to the game."""

    def __init__(
        self,
        policy: Policy,
        state: GameState,
        session: Session,
        persona: Persona,
        view: View,
        occasion: Occasion,
        turn_id: str,
    ) -> None:
        self._policy, self._state, self._session = policy, state, session
        self._persona, self._view, self._occasion = persona, view, occasion
        self.turn_id = turn_id
        self.sent = 0
        self._spoken = False
        self._actions: list[Action] = []
        self._verdicts: list[Verdict] = []

    def deliver(self, part: Part) -> None:
        """Send what policy allows of `part`."""
        allowed = tuple(action for action in part.actions if self._judge(action).allowed)
        speech = part.speech if self._worth_saying(part.speech) else ""
        if allowed or speech:
            self._send(speech, allowed, done=False)

    def close(self, finish: Finish) -> None:
        """Tell the game that nothing more comes of this turn; who was spoken to is never just silent."""
        silent = self._occasion.speech and not self._spoken and finish in ("stop", "length")
        self._send(self._persona.at_a_loss if silent else "", (), done=True)

    def record(self, context: str, draft: Draft, adapter: str, started: float) -> Turn:
        timings = draft.timings or Timings(0, 0, 0, 0, 0)
        return Turn(
            turn_id=self.turn_id,
            game_id=self._session.game_id,
            villager_id=self._session.villager_id,
            persona=self._persona.name,
            adapter_hash=adapter,
            player=self._occasion.player,
            context=context,
            reply=draft.text,
            actions=tuple(self._actions),
            verdicts=tuple(self._verdicts),
            started_at=started,
            queue_ms=timings.queue_ms,
            prefill_ms=timings.prefill_ms,
            decode_ms=timings.decode_ms,
            prompt_tokens=timings.prompt_tokens,
            cached_tokens=timings.cached_tokens,
            reply_tokens=draft.tokens,
            finish=draft.finish,
        )

    def _judge(self, action: Action) -> Verdict:
        spec = self._state.specs.get(action.name)
        verdict = self._policy.check(
            self._persona.name, self._persona.actions, action, spec, self._session.key, time.monotonic()
        )
        return self._note(action, verdict)

    def _worth_saying(self, text: str) -> bool:
        return bool(text) and not echoes(text, self._occasion.text) and self._judge_speech(text).allowed

    def _judge_speech(self, text: str) -> Verdict:
        verdict = self._policy.check_speech(text)
        return verdict if verdict.allowed else self._note(Action(name="say", args=(text,)), verdict)

    def _note(self, action: Action, verdict: Verdict) -> Verdict:
        self._actions.append(action)
        self._verdicts.append(verdict)
        return verdict

    def _send(self, speech: str, actions: tuple[Action, ...], *, done: bool) -> None:
        decision = Decision(
            villager_id=self._session.villager_id,
            turn_id=self.turn_id,
            part=self.sent,
            done=done,
            snapshot_time=self._view.snapshot_time,
            reply_to=self._occasion.player if self._occasion.speech else "",
            private=self._occasion.private,
            speech=speech,
            actions=actions,
        )
        self.sent += 1
        self._spoken |= bool(speech)
        self._state.put(decision)


def _open_to(persona: Persona, occasion: Occasion, asked: Collection[str]) -> set[str]:
    """What it was asked for and does on request, else what the persona does of itself on this occasion."""
    unasked: tuple[str, ...] = getattr(persona.unasked, occasion.kind.value)
    return set(asked) & set(persona.on_request) or set(unasked)
