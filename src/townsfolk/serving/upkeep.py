"""What a running service does for its database by the hour: rows past `store.keep_days` go."""

import asyncio
import logging
import time
from contextlib import closing

from townsfolk.config import StoreSettings
from townsfolk.errors import StoreError
from townsfolk.feedback.database import Database
from townsfolk.feedback.retention import DAY_S, prune

log = logging.getLogger(__name__)

PERIOD_S = 3_600.0


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
