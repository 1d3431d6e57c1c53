"""Turns asked for without a game: the guide's `Infer` on a raw context, and OpenAI-style chats."""

import time
import uuid
from collections.abc import AsyncGenerator, Sequence

from townsfolk.agents import View, offers_for
from townsfolk.agents.prompt import Messages, one_line, opening
from townsfolk.errors import DeadlineExceeded, InvalidRequest
from townsfolk.interpreter import defuse
from townsfolk.serving.games import GameState
from townsfolk.serving.rooms import Rooms
from townsfolk.serving.turns import Draft
from townsfolk.types import (
    ActionSpec,
    InferChunk,
    InferReply,
    InferRequest,
    Offer,
    Persona,
    Position,
    SelfState,
    Surroundings,
    Turn,
)

NOWHERE = View(0, 0.5, SelfState(position=Position(x=0, y=0, z=0), hp=20), Surroundings())
"""The view of a raw context: nobody and nothing near."""
BODILY = tuple(
    ActionSpec(name=name)
    for name in ("move_north", "move_south", "move_east", "move_west", "wave", "wander", "stop")
)
"""What any body can do anywhere, where no game has told its registry."""


class DirectTurns:
    """Decodes replies without observation: only actions that need no target are offered."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def infer(self, request: InferRequest, game: GameState | None) -> InferReply:
        """The whole turn. Raises UnknownName, Busy, DeadlineExceeded."""
        text, turn_id = "", ""
        actions: tuple[str, ...] = ()
        async for chunk in self.infer_stream(request, game):
            text, actions, turn_id = f"{text} {chunk.text}".strip(), (*actions, *chunk.actions), chunk.turn_id
        return InferReply(text=text, actions=actions, turn_id=turn_id)

    async def infer_stream(
        self, request: InferRequest, game: GameState | None
    ) -> AsyncGenerator[InferChunk, None]:
        """The turn part by part; it is stored when it ends."""
        persona = self._rooms.library.get(request.persona)
        context = defuse(request.context)
        messages = [*opening(persona), ("user", context)]
        offers = _offers(persona, game, context)
        deadline = time.monotonic() + request.max_wait_ms / 1000
        async for chunk in self._stream(persona, messages, context, offers, request.max_len, None, deadline):
            yield chunk

    async def chat(
        self,
        name: str,
        messages: Sequence[tuple[str, str]],
        max_tokens: int,
        temperature: float | None,
        deadline: float,
    ) -> AsyncGenerator[InferChunk, None]:
        """A persona's answer; system messages are added to its own. Raises as `infer`."""
        persona = self._rooms.library.get(name)
        if not messages or messages[-1][0] != "user":
            raise InvalidRequest(
                "messages must end with one of role 'user': that is what the persona answers"
            )
        (role, own), *shown = opening(persona)
        system = " ".join([own, *(one_line(defuse(text)) for kind, text in messages if kind == "system")])
        told = [(kind, defuse(text)) for kind, text in messages if kind != "system"]
        prompt: Messages = [(role, system), *shown, *told]
        offers = _offers(persona, None, told[-1][1])
        stream = self._stream(persona, prompt, told[-1][1], offers, max_tokens, temperature, deadline)
        async for chunk in stream:
            yield chunk

    async def _stream(
        self,
        persona: Persona,
        messages: Messages,
        context: str,
        offers: Sequence[Offer],
        max_tokens: int,
        temperature: float | None,
        deadline: float,
    ) -> AsyncGenerator[InferChunk, None]:
        turn_id, draft, started = uuid.uuid4().hex, Draft(), time.time()
        sampling = persona.sampling
        if temperature is not None:
            sampling = sampling.model_copy(update={"temperature": min(temperature, 2.0)})
        adapter = self._rooms.shelf.hash_of(persona.name)
        prompt = self._rooms.prompts.encode_messages(messages)
        try:
            async for part in self._rooms.generator.parts(
                draft,
                turn_id,
                prompt,
                adapter,
                offers,
                sampling,
                speech=True,
                deadline=deadline,
                max_tokens=max_tokens,
            ):
                yield InferChunk(
                    turn_id=turn_id, text=part.speech, actions=tuple(action.tag() for action in part.actions)
                )
        finally:
            self._rooms.engine.drop(turn_id)
        if draft.finish == "late":
            raise DeadlineExceeded(
                "the reply was not done by its deadline: raise max_wait_ms, or lower max_len"
            )
        self._rooms.store.record_turn(_record(turn_id, persona, context, draft, adapter or "", started))
        yield InferChunk(turn_id=turn_id, done=True)


def _offers(persona: Persona, game: GameState | None, text: str) -> tuple[Offer, ...]:
    """What `text` asks for, if that needs no target, else what the persona may do without one."""
    specs = game.game.actions if game else BODILY
    asked = game.matcher.asked(text, NOWHERE) if game else ()
    able = offers_for(specs, set(persona.actions) - {"say"}, NOWHERE)
    return tuple(offer for offer in able if offer.name in asked) or able


def _record(turn_id: str, persona: Persona, context: str, draft: Draft, adapter: str, started: float) -> Turn:
    return Turn(
        turn_id=turn_id,
        game_id="",
        villager_id="",
        persona=persona.name,
        adapter_hash=adapter,
        player="",
        context=context,
        reply=draft.text,
        started_at=started,
        reply_tokens=draft.tokens,
        finish=draft.finish,
    )
