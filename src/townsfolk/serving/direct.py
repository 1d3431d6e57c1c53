"""Turns asked for without a game: the guide's `Infer` on a raw context, and OpenAI-style chats."""

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from dataclasses import dataclass

from townsfolk.agents import View, facts, offers_for, recites
from townsfolk.agents.prompt import Messages, aside, lines, one_line, opening
from townsfolk.errors import DeadlineExceeded, InvalidRequest
from townsfolk.interpreter import defuse
from townsfolk.serving.adapters import as_served
from townsfolk.serving.decode import Draft
from townsfolk.serving.games import GameState
from townsfolk.serving.judge import Judge
from townsfolk.serving.rooms import Rooms
from townsfolk.types import (
    ActionSpec,
    InferChunk,
    InferReply,
    InferRequest,
    Offer,
    Persona,
    Position,
    Sampling,
    SelfState,
    Surroundings,
)

NOWHERE = View(0, 0.5, SelfState(position=Position(x=0, y=0, z=0), hp=20), Surroundings())
"""The view of a raw context: nobody and nothing near."""
BODILY = tuple(
    ActionSpec(name=name)
    for name in ("move_north", "move_south", "move_east", "move_west", "wave", "wander", "stop")
)
"""What any body can do anywhere, where no game has told its registry."""


@dataclass(frozen=True)
class _Speaker:
    """Who answers: a villager that lives for one turn."""

    turn_id: str
    adapter: str | None
    persona: Persona


@dataclass(frozen=True)
class _Ask:
    """A reply that is asked for.

    Attributes:
        shown: the persona's opening.
        told: what it answers, oldest first; the last is the user's.
        specs: the registry that its actions are of.
    """

    speaker: _Speaker
    shown: Messages
    told: Messages
    specs: Sequence[ActionSpec]
    offers: Sequence[Offer]
    max_tokens: int
    deadline: float
    temperature: float | None = None

    @property
    def text(self) -> str:
        return self.told[-1][1]

    @property
    def sampling(self) -> Sampling:
        drawn = self.speaker.persona.sampling
        return (
            drawn if self.temperature is None else drawn.model_copy(update={"temperature": self.temperature})
        )


class DirectTurns:
    """Decodes replies without observation: only actions that need no target are offered."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def infer(self, request: InferRequest, game: GameState | None) -> InferReply:
        """The whole turn. Raises UnknownName, Busy, DeadlineExceeded."""
        return await _whole(self.infer_stream(request, game))

    async def try_out(
        self, request: InferRequest, game: GameState | None, *, tuned: bool
    ) -> tuple[InferReply, str | None]:
        """A turn that is kept nowhere, and the adapter that it was decoded with. Raises as `infer`.

        Args:
            tuned: with the persona's adapter; else by the base model alone.
        """
        speaker = self._speaker(request.persona, tuned=tuned)
        return await _whole(self._stream(_asked(request, speaker, game), kept=False)), speaker.adapter

    async def infer_stream(
        self, request: InferRequest, game: GameState | None
    ) -> AsyncGenerator[InferChunk, None]:
        """The turn part by part; it is stored when it ends."""
        async for chunk in self._stream(_asked(request, self._speaker(request.persona), game)):
            yield chunk

    async def chat(
        self,
        name: str,
        messages: Sequence[tuple[str, str]],
        max_tokens: int,
        temperature: float | None,
        deadline: float,
        game: GameState | None,
    ) -> AsyncGenerator[InferChunk, None]:
        """A persona's answer: words, and an action only where it is asked for one.

        System messages are added to the persona's own. Raises as `infer`, and InvalidRequest.
        """
        speaker = self._speaker(name)
        persona = speaker.persona
        if not messages or messages[-1][0] != "user":
            raise InvalidRequest(
                "messages must end with one of role 'user': that is what the persona answers"
            )
        (role, own), *examples = opening(persona)
        system = " ".join([own, *(one_line(defuse(text)) for kind, text in messages if kind == "system")])
        told = [(kind, defuse(text)) for kind, text in messages if kind != "system"]
        asked_text = told[-1][1]
        told[-1] = ("user", _with_facts(persona, asked_text))
        shown = [(role, system), *examples]
        specs = game.game.actions if game else BODILY
        asked = game.matcher.asked(asked_text, NOWHERE) if game else ()
        offers = offers_for(specs, set(asked) & set(persona.on_request), NOWHERE)
        ask = _Ask(speaker, shown, told, specs, offers, max_tokens, deadline, temperature)
        async for chunk in self._stream(ask):
            yield chunk

    def _speaker(self, name: str, *, tuned: bool = True) -> _Speaker:
        """Raises UnknownName."""
        persona, turn_id = self._rooms.library.get(name), uuid.uuid4().hex
        adapter = self._rooms.shelf.hash_of(name, turn_id) if tuned else None
        return _Speaker(turn_id, adapter, as_served(persona, adapter))

    async def _stream(self, ask: _Ask, *, kept: bool = True) -> AsyncGenerator[InferChunk, None]:
        turn_id, persona, draft, started = ask.speaker.turn_id, ask.speaker.persona, Draft(), time.time()
        judge = Judge(self._rooms.policy, persona, {spec.name: spec for spec in ask.specs})
        secret, spoken = opening(persona)[0][1], False
        parts = self._rooms.generator.parts(
            draft,
            turn_id,
            self._rooms.prompts.fit(ask.shown, ask.told),
            ask.speaker.adapter,
            _permitted(ask.offers, judge),
            ask.sampling,
            speech=True,
            optional=persona.unaided,
            deadline=ask.deadline,
            max_tokens=ask.max_tokens,
        )
        try:
            async for part in parts:
                actions = tuple(action.tag() for action in part.actions if judge.may(action))
                told = part.speech and not recites(part.speech, secret) and judge.may_say(part.speech)
                text = part.speech if told else ""
                gap, spoken = " " if text and spoken else "", spoken or bool(text)
                yield InferChunk(turn_id=turn_id, text=gap + text, actions=actions)
        finally:
            self._rooms.engine.drop(turn_id)
        if draft.finish == "late":
            raise DeadlineExceeded(
                "the reply was not done by its deadline: raise max_wait_ms, or lower max_len"
            )
        if kept:
            self._rooms.keep(judge.record(turn_id, ask.text, draft, ask.speaker.adapter, started))
        yield InferChunk(turn_id=turn_id, done=True)


def _permitted(offers: Sequence[Offer], judge: Judge) -> tuple[Offer, ...]:
    who, at = judge.persona.name, NOWHERE.me.position
    left = (judge.policy.open_to(offer, judge.specs[offer.name], who, at) for offer in offers)
    return tuple(filter(None, left))


async def _whole(chunks: AsyncIterable[InferChunk]) -> InferReply:
    text, turn_id = "", ""
    actions: tuple[str, ...] = ()
    async for chunk in chunks:
        text, actions, turn_id = text + chunk.text, (*actions, *chunk.actions), chunk.turn_id
    return InferReply(text=text, actions=actions, turn_id=turn_id)


def _asked(request: InferRequest, speaker: _Speaker, game: GameState | None) -> _Ask:
    """A raw context, with the actions that it asks for, else all that need no target."""
    persona, context = speaker.persona, defuse(request.context)
    specs = game.game.actions if game else BODILY
    able = offers_for(specs, set(persona.actions) - {"say"}, NOWHERE)
    asked = game.matcher.asked(context, NOWHERE) if game else ()
    offers = tuple(offer for offer in able if offer.name in asked) or able
    told = [("user", _with_facts(persona, context))]
    deadline = time.monotonic() + request.max_wait_ms / 1000
    return _Ask(speaker, opening(persona), told, specs, offers, request.max_len, deadline)


def _with_facts(persona: Persona, text: str) -> str:
    """`text` after what the persona knows of it. It has no villager's name here, so it goes by its own."""
    return lines(aside(facts(text, NOWHERE, persona, persona.name.capitalize())), text)
