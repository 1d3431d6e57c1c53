"""Keeps the process under its memory limit: lets adapters go first, then caches, then refuses turns.

Personas without their adapters are served by the base model alone, until there is room again. It refuses to
know what takes the memory.
"""

import asyncio
import ctypes
import logging
from collections.abc import Callable

import psutil

from townsfolk.engine import Engine
from townsfolk.serving.adapters import AdapterShelf

log = logging.getLogger(__name__)

WATCH_S, GIVE_BACK_S = 1.0, 10.0
SHED, REFUSE, ROOM = 0.85, 0.95, 0.7
"""Of the limit: from where on something is let go, turns are refused, and below which all is as before."""


def give_back() -> None:
    """What was freed goes back to the system: glibc keeps it else."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def resident_mb() -> float:
    """What the process holds now."""
    give_back()
    return psutil.Process().memory_info().rss / 1e6


class MemoryGuard:
    """Looks at the memory again and again, and acts. `limit_mb` 0: never."""

    def __init__(
        self,
        limit_mb: int,
        engine: Engine,
        shelf: AdapterShelf,
        used_mb: Callable[[], float] = resident_mb,
    ) -> None:
        self._limit_mb, self._used_mb = limit_mb, used_mb
        self._engine, self._shelf = engine, shelf
        self._shedding = False

    def look(self) -> list[str]:
        """Let go of what has to go, the least loss first; gives the personas served otherwise now."""
        used = self._used_mb() / self._limit_mb
        if used < ROOM and self._shedding:
            return self._take_back()
        changed = []
        while used >= SHED and (name := self._shelf.shed()):
            log.warning(
                "memory is at %.0f %% of its limit: persona %s goes without adapter", 100 * used, name
            )
            changed.append(name)
            used = self._used_mb() / self._limit_mb
        if used >= SHED:
            self._engine.shed_cache()
            used = self._used_mb() / self._limit_mb
        self._shedding |= used >= SHED or bool(changed)
        self._refuse(used)
        return changed

    async def watch(self, on_change: Callable[[str], None]) -> None:
        """Look every second until cancelled; `on_change` is told the personas.

        Without a limit, what is freed still goes back: in days of small replies it would break into pieces.
        """
        while not self._limit_mb:
            await asyncio.sleep(GIVE_BACK_S)
            await asyncio.to_thread(give_back)
        while True:
            await asyncio.sleep(WATCH_S)
            for name in await asyncio.to_thread(self.look):
                on_change(name)

    def _refuse(self, used: float) -> None:
        reason = (
            f"the service holds {used:.0%} of the memory it may (memory_limit_mb, {self._limit_mb}), with "
            "adapters and caches let go: raise the limit, or lower engine.kv_tokens"
        )
        self._engine.refuse(reason if used >= REFUSE else "")

    def _take_back(self) -> list[str]:
        """There is room again."""
        log.warning("memory is below %.0f %% of its limit: all is as before", 100 * ROOM)
        self._engine.refuse("")
        self._engine.grow_cache()
        self._shedding = False
        return self._shelf.take_back()
