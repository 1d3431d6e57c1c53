"""Server-sent events: a service's stream -> an HTTP answer that begins only once its first chunk is there.

So that what fails before any chunk still has a status of its own.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from townsfolk.errors import TownsfolkError
from townsfolk.gateway.faults import ErrorReply, fault_of
from townsfolk.types import InferChunk

EVENT_SCHEMA = {
    "type": "object",
    "required": ["data"],
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
}
"""What OpenAPI says of each event."""
T = TypeVar("T")
Events = AsyncGenerator[str, None]


class EventStream(StreamingResponse):
    """An answer of server-sent events, closed with its source when the client goes."""

    media_type = "text/event-stream"

    def __init__(self, events: Events) -> None:
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Without starlette's own watch for a client that goes: the guard cancels."""
        async with aclosing(self._events):
            await self.stream_response(send)


async def stream(
    chunks: AsyncGenerator[InferChunk, None],
    render: Callable[[InferChunk], str],
    failed: Callable[[ErrorReply], str],
    end: str = "",
) -> EventStream:
    """Answer with a stream.

    Args:
        render: a chunk's event.
        failed: the event of an error that comes after the first chunk.
        end: what follows the last event.

    Raises:
        TownsfolkError: what the service raised before its first chunk.
    """
    first = await anext(chunks, None)
    return EventStream(_events(first, chunks, render, failed, end))


async def _events(
    first: InferChunk | None,
    rest: AsyncGenerator[InferChunk, None],
    render: Callable[[InferChunk], str],
    failed: Callable[[ErrorReply], str],
    end: str,
) -> Events:
    async with aclosing(rest):
        try:
            async for chunk in _chain(first, rest):
                yield render(chunk)
        except TownsfolkError as error:
            yield failed(fault_of(error).body())
            return
    if end:
        yield end


async def _chain(first: T | None, rest: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    if first is not None:
        yield first
        async for item in rest:
            yield item
