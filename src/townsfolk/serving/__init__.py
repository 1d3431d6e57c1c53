"""Builds stages 2 to 7 from the settings and serves them. With cli/, the only place that joins stages."""

import asyncio
import logging
from collections.abc import Callable

from townsfolk.config import Settings
from townsfolk.console import create_console
from townsfolk.gateway.http_app import Mounts
from townsfolk.gateway.serve import Ports, serve
from townsfolk.serving.desk import OperatorDesk
from townsfolk.serving.rooms import Rooms
from townsfolk.serving.tracing import exporting
from townsfolk.serving.upkeep import in_background, sweep
from townsfolk.serving.village import Village

__all__ = ["Ports", "Rooms", "Village", "mounts", "run"]

log = logging.getLogger(__name__)


async def run(settings: Settings, on_bound: Callable[[Ports], None] = lambda ports: None) -> None:
    """Serve until cancelled.

    Raises:
        ConfigError, ModelError, StoreError: what keeps it from serving, and the remedy.
    """
    with exporting(settings.telemetry):
        await _run(settings, on_bound)


async def _run(settings: Settings, on_bound: Callable[[Ports], None]) -> None:
    rooms = await asyncio.to_thread(Rooms.open, settings)
    village = Village(rooms)

    def changed(name: str) -> None:
        rooms.turns.warm(rooms.library.get(name))

    watching = (rooms.promotions.watch(changed), rooms.memory.watch(changed), village.watch())
    watches = [in_background(watch) for watch in (*watching, sweep(settings.store))]
    try:
        await serve(village, settings, rooms.registry, on_bound, mounts(rooms, village))
    finally:
        for watch in watches:
            watch.cancel()
        await village.close()
        await asyncio.to_thread(rooms.close)


def mounts(rooms: Rooms, village: Village) -> Mounts:
    """What the gateway carries beside its own calls: the console, unless it is switched off."""
    settings = rooms.settings.console
    return {"/console": create_console(OperatorDesk(rooms, village), settings)} if settings.enabled else {}
