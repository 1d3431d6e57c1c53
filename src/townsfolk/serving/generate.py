"""The engine's thread -> asyncio: one request as a stream of events."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

from townsfolk.engine import GenerationRequest, ModelTokenizer, TokenEvent
from townsfolk.engine.request import OnToken


class Handle(Protocol):
    """A request under way."""

    def cancel(self) -> object:
        """Stop it."""


class Decoder(Protocol):
    """What turns need of an engine."""

    @property
    def tokenizer(self) -> ModelTokenizer:
        """Of the model that decodes."""

    def submit(self, request: GenerationRequest, on_token: OnToken) -> Handle:
        """Queue a request; news of it comes through `on_token`, on a thread of the engine's."""

    def drop(self, sequence_id: str) -> None:
        """Forget a sequence."""


async def generate(engine: Decoder, request: GenerationRequest) -> AsyncGenerator[TokenEvent, None]:
    """Events of `request` as they come; closing the generator cancels it. Raises as `Engine.submit`."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[TokenEvent] = asyncio.Queue()
    handle = engine.submit(request, lambda event: _post(loop, events, event))
    try:
        while True:
            event = await events.get()
            yield event
            if event.finished:
                return
    finally:
        handle.cancel()


def _post(loop: asyncio.AbstractEventLoop, events: "asyncio.Queue[TokenEvent]", event: TokenEvent) -> None:
    """Called on the engine's thread; the loop may be gone already when the service stops."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(events.put_nowait, event)
