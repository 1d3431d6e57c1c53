"""OpenAI's chat completions and models in their wire shapes: `model` is a persona.

What a persona does rather than says comes in `actions`, a field that OpenAI's clients keep and
ignore. Options that a villager has no use for (`top_p`, `tools` …) are ignored; token counts are left
out, since the engine's own metrics have them.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from townsfolk.gateway.faults import ErrorReply
from townsfolk.gateway.service import ChatMessage, Service
from townsfolk.gateway.sse import EventStream, stream
from townsfolk.types import MAX_CONTEXT, InferChunk, PersonaName

MAX_MESSAGES = 256


class TextPart(BaseModel):
    """A part of a message's content; only text is understood."""

    type: Literal["text"]
    text: str = Field(max_length=MAX_CONTEXT)


class IncomingMessage(BaseModel):
    """A chat message as OpenAI's clients send it."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, Field(max_length=MAX_CONTEXT)] | Annotated[list[TextPart], Field(max_length=16)]

    def plain(self) -> ChatMessage:
        parts = self.content
        text = parts if isinstance(parts, str) else "\n".join(part.text for part in parts)
        role = "system" if self.role == "developer" else self.role
        return ChatMessage(role=role, content=text[:MAX_CONTEXT])


class ChatRequest(BaseModel):
    """The body of `POST /v1/chat/completions`."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, populate_by_name=True)

    model: PersonaName
    messages: list[IncomingMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        le=512,
        validation_alias=AliasChoices("max_tokens", "max_completion_tokens"),
    )
    temperature: float | None = Field(default=None, ge=0, le=2)
    n: Literal[1] | None = None
    stream: bool = False


class OutgoingMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    actions: tuple[str, ...] = ()


class Choice(BaseModel):
    index: int = 0
    message: OutgoingMessage
    finish_reason: Literal["stop"] = "stop"


class Completion(BaseModel):
    """A whole answer. `id` is the turn's, which ratings refer to."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: tuple[Choice, ...]


class Delta(BaseModel):
    role: Literal["assistant"] | None = None
    content: str | None = None
    actions: tuple[str, ...] | None = None


class ChunkChoice(BaseModel):
    index: int = 0
    delta: Delta
    finish_reason: Literal["stop"] | None = None


class CompletionChunk(BaseModel):
    """One event of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "townsfolk"


class ModelList(BaseModel):
    """The body of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: tuple[Model, ...]


def model_list(personas: Sequence[str]) -> ModelList:
    """The personas as models."""
    return ModelList(data=tuple(Model(id=name) for name in personas))


async def complete(
    service: Service, request: ChatRequest, max_tokens: int, timeout_s: float
) -> Completion | EventStream:
    """Answer a chat, whole or as a stream.

    Args:
        max_tokens: where the request does not say.
        timeout_s: time that the answer may take.
    """
    chunks = service.chat(
        request.model,
        [message.plain() for message in request.messages],
        request.max_tokens or max_tokens,
        request.temperature,
        time.monotonic() + timeout_s,
    )
    created = int(time.time())
    return await (_streamed if request.stream else _whole)(chunks, request.model, created)


async def _whole(chunks: AsyncGenerator[InferChunk, None], model: str, created: int) -> Completion:
    async with aclosing(chunks):
        parts = [chunk async for chunk in chunks]
    message = OutgoingMessage(
        content="".join(part.text for part in parts),
        actions=tuple(action for part in parts for action in part.actions),
    )
    turn_id = parts[-1].turn_id if parts else ""
    return Completion(id=turn_id, created=created, model=model, choices=(Choice(message=message),))


async def _streamed(chunks: AsyncGenerator[InferChunk, None], model: str, created: int) -> EventStream:
    def render(chunk: InferChunk) -> str:
        delta = Delta(role="assistant", content=chunk.text, actions=chunk.actions or None)
        choice = ChunkChoice(delta=delta, finish_reason="stop" if chunk.done else None)
        return _event(CompletionChunk(id=chunk.turn_id, created=created, model=model, choices=(choice,)))

    return await stream(chunks, render, failed=_event, end="data: [DONE]\n\n")


def _event(body: CompletionChunk | ErrorReply) -> str:
    """`finish_reason` is null until the end: OpenAI's clients look for the key."""
    shown: dict[str, Any] = {"exclude_none": True} if isinstance(body, ErrorReply) else {}
    return f"data: {body.model_dump_json(**shown)}\n\n"
