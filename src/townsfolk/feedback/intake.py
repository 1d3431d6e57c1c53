"""Writers -> spool: one thread that makes all waiting writes durable with one fsync (group commit).

Refuses to know what a write means.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from townsfolk.errors import StoreError
from townsfolk.feedback.spool import Spool

MAX_WAITING = 10_000
MAX_GROUP = 500

Payloads = Sequence[dict[str, Any]]
_Write = tuple[Payloads, "Future[None]"]


class Intake:
    """Appends to `spool`; `on_durable` is called after each group."""

    def __init__(self, spool: Spool, on_durable: Callable[[], None]) -> None:
        self._spool, self._on_durable = spool, on_durable
        self._waiting: queue.Queue[_Write | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="townsfolk-intake", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, payloads: Payloads) -> "Future[None]":
        """Queue `payloads`, which become durable together; the future fails with StoreError if they don't."""
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # a caller that gives up does not take the write back
        try:
            self._waiting.put_nowait((payloads, future))
        except queue.Full:
            future.set_exception(
                StoreError(f"{MAX_WAITING} writes wait for the disk: it is too slow, or stuck")
            )
        return future

    def stop(self) -> None:
        """End the thread when all that waits is written."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        for group in self._groups():
            try:
                self._spool.append([payload for payloads, _ in group for payload in payloads])
            except StoreError as error:
                for _, future in group:
                    future.set_exception(error)
            else:
                for _, future in group:
                    future.set_result(None)
                self._on_durable()

    def _groups(self) -> Iterator[list[_Write]]:
        """All writes that wait, again and again, until the end is asked for."""
        while (first := self._waiting.get()) is not None:
            group = [first]
            while len(group) < MAX_GROUP and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    yield group
                    return
                group.append(following)
            yield group
