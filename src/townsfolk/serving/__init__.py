"""Builds stages 2 to 7 from the settings and serves them. With cli/, the only place that joins stages."""

import asyncio
import logging
from collections.abc import Callable

from townsfolk.config import Settings
from townsfolk.gateway.serve import Ports, serve
from townsfolk.serving.rooms import Rooms
from townsfolk.serving.village import Village

__all__ = ["Ports", "Rooms", "Village", "run"]

log = logging.getLogger(__name__)


async def run(settings: Settings, on_bound: Callable[[Ports], None] = lambda ports: None) -> None:
    """Serve until cancelled.

    Raises:
        ConfigError, ModelError, StoreError: what keeps it from serving, and the remedy.
    """
    rooms = await asyncio.to_thread(Rooms.open, settings)
    village = Village(rooms)
    warm = rooms.turns.warm
    watches = (
        asyncio.create_task(rooms.promotions.watch(lambda name: warm(rooms.library.get(name)))),
        asyncio.create_task(village.watch()),
    )
    try:
        await serve(village, settings, rooms.registry, on_bound)
    finally:
        for watch in watches:
            watch.cancel()
        await village.close()
        await asyncio.to_thread(rooms.close)
