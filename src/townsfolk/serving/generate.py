"""The engine's thread -> asyncio: one request as a stream of events."""

import asyncio
from collections.abc import AsyncGenerator

from townsfolk.engine import Engine, GenerationRequest, TokenEvent


async def generate(engine: Engine, request: GenerationRequest) -> AsyncGenerator[TokenEvent, None]:
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
