"""How many calls at once, and how often: the same rules for HTTP and gRPC."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from townsfolk.errors import Busy, TooOften

RETRY_AFTER_MS = 1_000
MOST_KEYS = 10_000
"""A caller that makes up names must not fill the memory: above this, who has been quiet is left out."""


class Gate:
    """Bounds the calls under way at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Hold a place while inside.

        Raises:
            Busy: all places are taken.
        """
        if self._inside >= self._limit:
            raise Busy(
                f"{self._inside} calls are under way, which is the most there may be (max_concurrent): retry "
                f"after {RETRY_AFTER_MS} ms",
                RETRY_AFTER_MS,
            )
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


class RateLimit:
    """A token bucket for each key, kept as the one number it needs: when it is full again (GCRA)."""

    def __init__(self, per_second: float, burst_s: float, setting: str) -> None:
        """`burst_s` seconds' worth may come at once; `setting` is what an operator would raise."""
        self._per_second = per_second
        self._burst_s = max(burst_s, 1 / per_second)
        self._setting = setting
        self._full_at: dict[str, float] = {}

    def take(self, key: str, count: int = 1) -> None:
        """Count `count` calls of `key`: all of them or none.

        Raises:
            TooOften: they are more than it may have now; says when they will not be.
        """
        now = time.monotonic()
        cost = min(
            count / self._per_second, self._burst_s
        )  # else what is too much at once would never be taken
        full_at = max(self._full_at.get(key, now), now) + cost
        wait_s = full_at - now - self._burst_s
        if wait_s > 0:
            ms = int(wait_s * 1000) + 1
            raise TooOften(f"{key} calls too often ({self._setting}): retry after {ms} ms", ms)
        if len(self._full_at) >= MOST_KEYS:
            self._full_at = {other: at for other, at in self._full_at.items() if at > now}
        self._full_at[key] = full_at
