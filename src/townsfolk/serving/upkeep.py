"""What a running service does beside its calls: tasks whose end is told, old rows that go by the hour."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import closing

from townsfolk.config import StoreSettings
from townsfolk.errors import StoreError
from townsfolk.feedback.database import Database
from townsfolk.feedback.retention import DAY_S, prune

log = logging.getLogger(__name__)

PERIOD_S = 3_600.0


def in_background(watch: Coroutine[object, object, None]) -> "asyncio.Task[None]":
    """A task that nobody awaits; should it fail, the log says so at once."""
    task = asyncio.create_task(watch)
    task.add_done_callback(_tell_fault)
    return task


def _tell_fault(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (fault := task.exception()):
        log.error("%s has failed and does not go on: restart the service", task.get_coro(), exc_info=fault)


async def sweep(settings: StoreSettings, period_s: float = PERIOD_S) -> None:
    """Delete old rows again and again, where a term is set, until cancelled."""
    while settings.keep_days:
        await asyncio.sleep(period_s)
        await asyncio.to_thread(_sweep_once, settings)


def _sweep_once(settings: StoreSettings) -> None:
    try:
        with closing(Database(settings.url)) as database:
            gone = prune(database, time.time() - settings.keep_days * DAY_S)
        log.info("%d rows older than %d days are deleted (store.keep_days)", gone, settings.keep_days)
    except StoreError as error:
        log.warning("old rows stay for now: %s", error)
