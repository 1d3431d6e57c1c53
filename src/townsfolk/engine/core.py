"""schedule -> run -> update, one step at a time.

    schedule   who is in the next pass, with which KV slots, adapter slots and allowed tokens
    run        the runner's forward pass; needs no lock
    update     choose each completed row's next token, end what is done, collect the news

Single-threaded on purpose: `engine` gives it a thread and a lock.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from townsfolk.engine.adapters import Adapter, AdapterSlots
from townsfolk.engine.kv import KvCache
from townsfolk.engine.request import Finish, OnToken, TokenEvent
from townsfolk.engine.runner import BASE, Mask, RaggedBatch, Row, Runner
from townsfolk.engine.sampling import GREEDY, SamplingParams, sample
from townsfolk.engine.scheduler import Scheduler, Share, Work
from townsfolk.errors import ModelError, TownsfolkError

Logits = npt.NDArray[np.float32]
News = tuple[OnToken, TokenEvent]


@dataclass
class Totals:
    """Counters since the start."""

    passes: int = 0
    prefilled_tokens: int = 0
    generated_tokens: int = 0
    dropped_late: int = 0


@dataclass(frozen=True)
class Pass:
    """What one forward pass computes, and for whom."""

    shares: list[Share]
    batch: RaggedBatch


class EngineCore:
    """Owns the runner, the KV bookkeeping and the resident adapters."""

    def __init__(self, runner: Runner, kv: KvCache, scheduler: Scheduler, adapter_slots: int) -> None:
        self.kv, self.scheduler, self.totals = kv, scheduler, Totals()
        self.slots = AdapterSlots(adapter_slots)
        self._runner = runner
        self._news: list[News] = []

    def schedule(self) -> Pass | None:
        """End what nobody waits for, then lay out the next pass; None when there is nothing to run."""
        for work, finish in self.scheduler.overdue(time.monotonic()):
            self.totals.dropped_late += finish == "late"
            self._end(work, finish)
        allowed = {}
        shares = []
        for share in self.scheduler.plan():
            try:
                allowed[share.work] = _allowed(share)
                shares.append(share)
            except TownsfolkError as error:
                self._end(share.work, "error", error=str(error))
        self._make_resident(share.work.adapter for share in shares)
        rows = [self._row(share, allowed[share.work]) for share in shares]
        return Pass(shares, RaggedBatch(rows)) if rows else None

    def run(self, current: Pass) -> Logits | ModelError:
        """[completing rows, vocab], or why there are none."""
        try:
            return self._runner.forward(current.batch)
        except ModelError as error:
            return error

    def update(self, current: Pass, result: Logits | ModelError) -> None:
        """Apply the pass's result to its requests."""
        self.totals.passes += 1
        self.totals.prefilled_tokens += sum(share.new for share in current.shares if share.new > 1)
        if isinstance(result, ModelError):
            return self._fail(current, result)
        completing = (share.work for share in current.shares if share.completes)
        for work, logits in zip(completing, result, strict=True):
            try:
                self._next_tokens(work, logits)
            except TownsfolkError as error:
                self._end(work, "error", error=str(error))
        return None

    def take_news(self) -> list[News]:
        """Events since the last call, to be delivered when no lock is held."""
        news, self._news = self._news, []
        return news

    def abandon(self) -> None:
        """End every request: no pass will come any more."""
        for work in self.scheduler.works:
            self._end(work, "cancelled" if work.cancelled else "error", error="the engine stopped")

    def score(self, tokens: Sequence[int], adapter: Adapter | None) -> Logits:
        """Logits after each of `tokens`, [len(tokens), vocab].

        Raises:
            ModelError: no room in the KV cache, or the pass failed.
        """
        cached = self.kv.admit("score", None, tokens[:1], len(tokens))
        if cached is None:
            raise ModelError("no room in the KV cache to score: raise engine.kv_tokens, or try again later")
        self._make_resident([adapter])
        row = Row(
            np.array(tokens, np.int32),
            self.kv.extend(cached, tokens),
            self._slot(adapter),
            wanted=len(tokens),
        )
        try:
            return self._runner.forward(RaggedBatch([row]))
        finally:
            self.kv.drop("score")

    def _make_resident(self, adapters: Iterable[Adapter | None]) -> None:
        if self.slots.place(adapter for adapter in adapters if adapter):
            self._runner.set_adapters(self.slots.resident)

    def _slot(self, adapter: Adapter | None) -> int:
        slot = self.slots.slot(adapter.content_hash) if adapter else None
        return BASE if slot is None else slot

    def _row(self, share: Share, allowed: Mask | None) -> Row:
        work, cached = share.work, share.work.cached
        assert cached is not None
        tokens = work.tokens[len(cached.tokens) :][: share.new]
        slots = self.kv.extend(cached, tokens)
        return Row(
            np.array(tokens, np.int32),
            slots,
            self._slot(work.adapter),
            wanted=int(share.completes),
            allowed=allowed,
        )

    def _next_tokens(self, work: Work, logits: Logits) -> None:
        """Choose a token, add those that the constraint then forces, tell the caller."""
        if work.first_token_at is None:
            work.first_token_at = time.monotonic()
        if not np.isfinite(logits.max()):
            return self._end(work, "error", error="the constraint allows no token: check the grammar")
        chosen = sample(logits, _sampling(work), work.reply, work.random)
        before = len(work.tokens)
        finish = _append(work, chosen)
        for token in work.request.constraint.forced() if work.request.constraint and not finish else ():
            finish = finish or _append(work, token)
        new = tuple(work.tokens[before:])
        self.totals.generated_tokens += len(new)
        if finish:
            self._end(work, finish, new)
        else:
            self._news.append((work.on_token, TokenEvent(new)))
        return None

    def _fail(self, current: Pass, error: ModelError) -> None:
        """A pass that failed leaves no keys and values: forget them and end its requests."""
        for share in current.shares:
            if share.work.cached:
                self.kv.truncate(share.work.cached, len(share.work.cached.tokens) - share.new)
            self._end(share.work, "error", error=str(error))

    def _end(self, work: Work, finish: Finish, tokens: tuple[int, ...] = (), error: str = "") -> None:
        self.scheduler.remove(work)
        event = TokenEvent(tokens, finish, error, work.timings(time.monotonic()))
        self._news.append((work.on_token, event))


def _sampling(work: Work) -> SamplingParams:
    constraint = work.request.constraint
    return GREEDY if constraint and constraint.sharp else work.request.sampling


def _allowed(share: Share) -> Mask | None:
    constraint = share.work.request.constraint
    return constraint.mask() if constraint and share.completes else None


def _append(work: Work, token: int) -> Finish | None:
    """Add a token to the reply, unless it is a stop token; how the reply ends, if it does."""
    if token in work.request.stop_tokens:
        return "stop"
    work.tokens.append(token)
    constraint = work.request.constraint
    if constraint:
        constraint.advance(token)
        if constraint.done:
            return "stop"
    return "length" if len(work.tokens) >= work.room else None
