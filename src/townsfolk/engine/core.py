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

from townsfolk.engine.adapter_slots import AdapterSlots, AdapterUse, LoadedAdapter
from townsfolk.engine.kv import CachedSequence, KvCache
from townsfolk.engine.request import Finish, OnToken, TokenEvent
from townsfolk.engine.runner import BASE, Mask, RaggedBatch, Row, Runner
from townsfolk.engine.sampling import GREEDY, SamplingParams, sample, take_way
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


@dataclass(eq=False)
class Scoring:
    """Tokens that are scored, in chunks. It names its sequence itself, so that no caller's has that name."""

    use: AdapterUse
    tokens: Sequence[int]
    wanted: int  # logits are wanted after this many of the last tokens
    cached: CachedSequence | None = None  # None: not begun

    @property
    def done(self) -> bool:
        return self.cached is not None and self.cached.length == len(self.tokens)


class EngineCore:
    """Runs what the scheduler plans, and keeps the books of KV cache and adapters."""

    def __init__(self, runner: Runner, kv: KvCache, adapters: AdapterSlots, scheduler: Scheduler) -> None:
        self.kv, self.adapters, self.scheduler, self.totals = kv, adapters, scheduler, Totals()
        self._runner = runner
        self._news: list[News] = []

    def schedule(self) -> Pass | None:
        """End what nobody waits for, then lay out the next pass; None when there is nothing to run."""
        for work, finish in self.scheduler.overdue(time.monotonic()):
            self.totals.dropped_late += finish == "late"
            self._end(work, finish)
        for work in self.scheduler.works:
            if not work.begun:
                self._begin(work)
        masks = self._masks(self.scheduler.plan())
        self._make_resident(share.work.use.adapter for share in masks)
        rows = [self._share_row(share, mask) for share, mask in masks.items()]
        return Pass(list(masks), RaggedBatch(rows)) if rows else None

    def run(self, current: Pass) -> Logits | ModelError:
        """[completing rows, vocab], or why there are none."""
        try:
            return self._runner.forward(current.batch)
        except ModelError as error:
            return error

    def update(self, current: Pass, result: Logits | ModelError) -> None:
        """Apply the pass's result to its requests."""
        self.totals.passes += 1
        if isinstance(result, ModelError):
            return self._fail(current, result)
        self.totals.prefilled_tokens += sum(map(_of_prompt, current.shares))
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

    def schedule_score(self, scoring: Scoring) -> Row:
        """The next chunk of `scoring`; what is cached is not run. Afterwards comes `update_score`.

        The first takes a sequence into use, with room for all: drop it in the end.

        Raises:
            ModelError: no room in the KV cache.
        """
        cached = scoring.cached = scoring.cached or self._admit_score(scoring)
        self._make_resident([scoring.use.adapter])
        tokens = scoring.tokens[cached.length :][: self.scheduler.max_prefill_tokens]
        end = cached.length + len(tokens)
        return self._row(
            scoring.use,
            cached,
            tokens,
            wanted=min(len(tokens), max(0, end - (len(scoring.tokens) - scoring.wanted))),
        )

    def update_score(self, scoring: Scoring, row: Row, *, failed: bool) -> None:
        """Count the pass; one that failed leaves no keys and values: forget them."""
        self.totals.passes += 1
        if failed:
            self.kv.drop(scoring)
        else:
            self.totals.prefilled_tokens += len(row.tokens)

    def _admit_score(self, scoring: Scoring) -> CachedSequence:
        known = scoring.tokens[: len(scoring.tokens) - scoring.wanted + 1]
        cached = self.kv.admit(scoring, scoring.use.origin, known, len(scoring.tokens))
        if cached is None:
            raise ModelError("no room in the KV cache to score: raise engine.kv_tokens, or try again later")
        return cached

    def _make_resident(self, adapters: Iterable[LoadedAdapter | None]) -> None:
        if self.adapters.place(adapter for adapter in adapters if adapter):
            self._runner.set_adapters([adapter and adapter.weights for adapter in self.adapters.resident])

    def _masks(self, shares: Iterable[Share]) -> dict[Share, Mask | None]:
        """What each share's constraint allows; a request whose constraint fails ends."""
        masks: dict[Share, Mask | None] = {}
        for share in shares:
            try:
                masks[share] = _allowed(share)
            except TownsfolkError as error:
                self._end(share.work, "error", error=str(error))
        return masks

    def _share_row(self, share: Share, allowed: Mask | None) -> Row:
        work, cached = share.work, share.work.cached
        assert cached is not None
        tokens = work.tokens[cached.length :][: share.new]
        return self._row(work.use, cached, tokens, int(share.completes), allowed)

    def _row(
        self,
        use: AdapterUse,
        cached: CachedSequence,
        tokens: Sequence[int],
        wanted: int,
        allowed: Mask | None = None,
    ) -> Row:
        slot = self.adapters.slot(use.adapter.content_hash) if use.adapter else None
        return Row(
            np.array(tokens, np.int32),
            self.kv.extend(cached, tokens),
            BASE if slot is None else slot,
            use.start,
            wanted,
            allowed,
        )

    def _begin(self, work: Work) -> None:
        """Add what the constraint forces at once: it joins the prefill."""
        work.begun = True
        try:
            finish = _append_forced(work)
        except TownsfolkError as error:
            return self._end(work, "error", error=str(error))
        if finish:
            self._end(work, finish)
        return None

    def _next_tokens(self, work: Work, logits: Logits) -> None:
        """Choose a token, add those that the constraint then forces, tell the caller."""
        if work.first_token_at is None:
            work.first_token_at = time.monotonic()
        fault = _fault(logits)
        if fault:
            return self._end(work, "error", error=fault)
        constraint = work.request.constraint
        if constraint and constraint.fork:
            logits = take_way(logits, constraint.fork)
        chosen = sample(logits, _sampling(work), work.reply, work.random)
        finish = _append(work, chosen) or _append_forced(work)
        if finish:
            self._end(work, finish)
        else:
            self._news.append((work.on_token, TokenEvent(self._untold(work))))
        return None

    def _untold(self, work: Work) -> tuple[int, ...]:
        """Tokens of the reply that its caller has not been told of."""
        new = tuple(work.reply[work.told :])
        work.told += len(new)
        self.totals.generated_tokens += len(new)
        return new

    def _fail(self, current: Pass, error: ModelError) -> None:
        """A pass that failed leaves no keys and values: forget them and end its requests."""
        for share in current.shares:
            if share.work.cached:
                self.kv.truncate(share.work.cached, share.work.cached.length - share.new)
            self._end(share.work, "error", error=str(error))

    def _end(self, work: Work, finish: Finish, error: str = "") -> None:
        self.scheduler.remove(work)
        tokens = self._untold(work) if finish in ("stop", "length") else ()
        event = TokenEvent(tokens, finish, error, work.timings(time.monotonic()))
        self._news.append((work.on_token, event))


def _fault(logits: Logits) -> str:
    """Why no token can be chosen from `logits`; empty when one can."""
    best = logits.max()  # NaN if any of them is
    if best == -np.inf:
        return "the constraint allows no token: check the grammar"
    if not np.isfinite(best):
        return "logits are NaN or infinite: unload the adapter, or fetch the base model again"
    return ""


def _of_prompt(share: Share) -> int:
    """How many of a share's tokens are the prompt's, once they have slots."""
    assert share.work.cached is not None
    end = share.work.cached.length
    return max(0, min(end, len(share.work.request.prompt)) - (end - share.new))


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


def _append_forced(work: Work) -> Finish | None:
    """Add the tokens that the constraint forces, if any; how the reply ends, if it does."""
    constraint = work.request.constraint
    forced = constraint.forced() if constraint else ()
    return next((finish for finish in (_append(work, token) for token in forced) if finish), None)
