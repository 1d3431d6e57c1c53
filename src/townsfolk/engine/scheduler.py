"""Decides who is in the next pass. Knows requests, priorities and the KV cache; never runs anything.

Order: higher priority first; within one, whoever waits longest: a prompt since it came, a row that decodes
since its last token. Who asks more often is not served more: when a request ends, those that wait for its
sequence go to the back. A request is admitted once the KV cache has room for its whole prompt and reply, so
a running row never lacks a slot; for a request of higher priority the lowest one running gives its room
back and is rebuilt by prefill later, if that makes room enough.

The queue is bounded in number, and in time: nobody is taken in who could only make others late.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from townsfolk.engine.adapter_slots import AdapterSlots, AdapterUse
from townsfolk.engine.kv import CachedSequence, KvCache
from townsfolk.engine.request import Finish, GenerationRequest, OnToken, Timings
from townsfolk.errors import Busy

FIRST_GUESS_MS = 500.0
"""How long a request takes, before any has been seen."""
LOW_SHARE = 8
"""Beside a row of higher priority, a prompt gets this fraction of a pass: the pass stays short."""


@dataclass(eq=False)
class Work:
    """A request on its way through the engine."""

    request: GenerationRequest
    on_token: OnToken
    use: AdapterUse
    room: int  # KV slots for its prompt and the longest reply
    random: np.random.Generator
    submitted: float = field(default_factory=time.monotonic)
    arrival: int = 0
    tokens: list[int] = field(default_factory=list)  # prompt and reply so far
    cached: CachedSequence | None = None  # None: waiting
    cached_tokens: int = 0
    last_pass: int = 0  # when a token was last chosen, or it came
    begun: bool = False  # has the tokens that its constraint forces before the first choice
    told: int = 0  # tokens of the reply that the caller knows of
    cancelled: bool = False
    admitted_at: float | None = None
    first_token_at: float | None = None

    @property
    def reply(self) -> list[int]:
        return self.tokens[len(self.request.prompt) :]

    @property
    def pending(self) -> int:
        """Tokens to run before the next one can be chosen; all of them while it waits."""
        return len(self.tokens) - (self.cached.length if self.cached else 0)

    def waits_long(self, now: float) -> bool:
        """Whether half its time is over and its first token is still to come."""
        deadline = self.request.deadline
        return deadline is not None and self.first_token_at is None and now > (self.submitted + deadline) / 2

    def timings(self, now: float) -> Timings:
        admitted = self.admitted_at or now
        first = self.first_token_at or now
        return Timings(
            queue_ms=(admitted - self.submitted) * 1e3,
            prefill_ms=(first - admitted) * 1e3,
            decode_ms=(now - first) * 1e3,
            prompt_tokens=len(self.request.prompt),
            cached_tokens=self.cached_tokens,
        )


@dataclass(frozen=True)
class Share:
    """A row of the next pass: the next `new` pending tokens of `work`."""

    work: Work
    new: int
    completes: bool
    """Whether nothing is pending after it, so that the next token can be chosen."""


class Scheduler:
    """The queue and the rows under way. Not thread-safe: the engine holds its lock."""

    def __init__(
        self, kv: KvCache, adapters: AdapterSlots, *, max_queue: int, max_rows: int, max_prefill_tokens: int
    ) -> None:
        self._kv, self._adapters = kv, adapters
        self._max_queue, self._max_rows = max_queue, max_rows
        self.max_prefill_tokens = max_prefill_tokens
        self._works: list[Work] = []
        self._arrivals = itertools.count(1)
        self._passes = 0
        self._mean_ms = FIRST_GUESS_MS

    @property
    def waiting(self) -> int:
        return sum(work.cached is None for work in self._works)

    @property
    def running(self) -> int:
        return len(self._works) - self.waiting

    @property
    def works(self) -> tuple[Work, ...]:
        return tuple(self._works)

    def add(self, work: Work) -> None:
        """Queue a request.

        Raises:
            Busy: the queue is full, or so slow that whoever joins would be late, or make others so.
        """
        if self.waiting >= self._max_queue:
            raise self._busy(f"the engine's queue is full ({self._max_queue} requests, engine.max_queue)")
        if self._is_slow(work.request.priority, time.monotonic()):
            raise self._busy("the engine has more to do than it can within the time that others allow")
        work.arrival, work.last_pass = next(self._arrivals), self._passes
        work.tokens = list(work.request.prompt)
        self._works.append(work)

    def overdue(self, now: float) -> list[tuple[Work, Finish]]:
        """Requests that nobody waits for any more, and how they end."""
        ended: list[tuple[Work, Finish]] = []
        for work in self._works:
            if work.cancelled:
                ended.append((work, "cancelled"))
            elif work.request.deadline is not None and now > work.request.deadline:
                ended.append((work, "late"))
        return ended

    def plan(self) -> list[Share]:
        """The rows of the next pass, at most `max_rows`; none when there is nothing to do."""
        self._passes += 1
        self._admit()
        self._catch_up()
        shares = list(self._choose())
        for share in shares:
            if share.completes:
                share.work.last_pass = self._passes
        return shares

    def remove(self, work: Work) -> None:
        """Take a request out; its sequence stays in the KV cache, idle."""
        self._works.remove(work)
        if not work.cached:
            return
        self._send_back(work)
        self._mean_ms += 0.1 * ((time.monotonic() - work.submitted) * 1e3 - self._mean_ms)
        for other in self._works:
            if other.request.sequence_id == work.request.sequence_id:
                other.arrival = next(self._arrivals)

    def _is_slow(self, priority: int, now: float) -> bool:
        """Whether somebody waits long whom a new request of that priority would not come after.

        What has a priority below 0 may wait for ever, and holds up nobody.
        """
        return any(0 <= work.request.priority <= priority and work.waits_long(now) for work in self._works)

    def _busy(self, why: str) -> Busy:
        return Busy(f"{why}: try again later", retry_after_ms=self._retry_after_ms())

    def _retry_after_ms(self) -> int:
        """About when the queue has moved on by one batch."""
        batches = 1 + len(self._works) // self._max_rows
        return int(max(50, self._mean_ms * batches / 2))

    def _admit(self) -> None:
        """Give KV room to waiting requests, best first, until one finds none."""
        for work in sorted(self._works, key=lambda work: (-work.request.priority, work.arrival)):
            ready = work.cached is None and not self._kv.in_use(work.request.sequence_id)
            if ready and not self._take_in(work) and not self._make_way(work):
                return

    def _take_in(self, work: Work) -> bool:
        work.cached = self._kv.admit(work.request.sequence_id, work.use.origin, work.tokens, work.room)
        if work.cached is None:
            return False
        if work.admitted_at is None:
            work.admitted_at = time.monotonic()
            work.cached_tokens = min(work.cached.length, len(work.request.prompt))
        return True

    def _catch_up(self) -> None:
        """Whose prompt begins as another's need not run what that one has run meanwhile."""
        for work in self._works:
            prompt = work.request.prompt
            if work.cached and work.cached.length < len(prompt) - 1:
                work.cached_tokens += self._kv.catch_up(work.cached, prompt)

    def _make_way(self, work: Work) -> bool:
        """Take `work` in by sending running requests of lower priority back, lowest first; none in vain."""
        below = [
            other for other in self._works if other.cached and other.request.priority < work.request.priority
        ]
        names = {other.request.sequence_id for other in below}
        if not below or not self._kv.fits(work.use.origin, work.tokens, work.room, without=names):
            return False
        for victim in sorted(below, key=lambda other: (other.request.priority, -other.arrival)):
            self._send_back(victim)
            if self._take_in(work):
                return True
        return False

    def _send_back(self, work: Work) -> None:
        """Its sequence is idle from now on."""
        self._kv.release(work.request.sequence_id)
        work.cached = None

    def _choose(self) -> Iterator[Share]:
        budget, rows, highest = self.max_prefill_tokens, 0, None
        adapters: set[str] = set()
        for work in sorted((work for work in self._works if work.cached), key=_urgency):
            if highest is not None and work.request.priority < highest:
                budget = min(budget, self.max_prefill_tokens // LOW_SHARE)
            new = 1 if work.pending == 1 else min(work.pending, budget)
            wanted = adapters | {work.use.adapter.content_hash} if work.use.adapter else adapters
            if rows < self._max_rows and new and self._adapters.fit(wanted):
                budget -= new if work.pending > 1 else 0
                rows, adapters = rows + 1, wanted
                highest = work.request.priority if highest is None else highest
                yield Share(work, new, completes=new == work.pending)


def _urgency(work: Work) -> tuple[int, int, int]:
    return -work.request.priority, work.last_pass, work.arrival
