"""Who is in the next pass: priority, round robin, chunks, room, deadlines, the bounded queue."""

import time

import numpy as np
import pytest

from townsfolk.engine.adapters import Adapter
from townsfolk.engine.kv import KvCache
from townsfolk.engine.request import GenerationRequest
from townsfolk.engine.scheduler import Scheduler, Share, Work
from townsfolk.errors import Busy


def make(kv_slots: int = 1_000, **limits: int) -> tuple[Scheduler, KvCache]:
    kv = KvCache(kv_slots)
    defaults = {"max_queue": 8, "max_rows": 4, "max_prefill_tokens": 16, "adapter_slots": 2}
    return Scheduler(kv, **(defaults | limits)), kv


def work(
    name: str,
    prompt: int = 4,
    *,
    reply: int = 4,
    priority: int = 0,
    deadline: float | None = None,
    adapter: str | None = None,
) -> Work:
    own = Adapter(adapter, 8, 1.0, 0, {}) if adapter else None
    first = sum(name.encode()) * 1_000  # no two names share a prefix
    request = GenerationRequest(
        name, list(range(first, first + prompt)), reply, adapter, priority=priority, deadline=deadline
    )
    return Work(request, lambda event: None, own, prompt + reply, np.random.default_rng(0))


def names(shares: list[Share]) -> list[str]:
    return [share.work.request.sequence_id for share in shares]


def run(scheduler: Scheduler, kv: KvCache) -> list[Share]:
    """Plan a pass and do what the core does after it: each completed row gets a token."""
    shares = scheduler.plan()
    for share in shares:
        cached = share.work.cached
        assert cached is not None
        kv.extend(cached, share.work.tokens[len(cached.tokens) :][: share.new])
        if share.completes:
            share.work.tokens.append(7)
    return shares


def test_prompt_is_prefilled_in_chunks_then_decoded() -> None:
    scheduler, kv = make()
    scheduler.add(work("a", 40))
    shares = [run(scheduler, kv)[0] for _ in range(4)]
    assert [share.new for share in shares] == [16, 16, 8, 1]
    assert [share.completes for share in shares] == [False, False, True, True]


def test_decode_and_prefill_mix_in_one_pass() -> None:
    scheduler, kv = make()
    scheduler.add(work("a", 4))
    run(scheduler, kv)
    scheduler.add(work("b", 40))
    shares = run(scheduler, kv)
    assert [(name, share.new) for name, share in zip(names(shares), shares, strict=True)] == [
        ("a", 1),
        ("b", 16),
    ]


def test_higher_priority_goes_first_even_before_rows_that_decode() -> None:
    scheduler, kv = make(max_rows=1)
    scheduler.add(work("speech"))
    run(scheduler, kv)
    scheduler.add(work("tick", priority=1))
    assert names(run(scheduler, kv)) == ["tick"]


def test_rows_take_turns_when_there_are_more_than_fit() -> None:
    scheduler, kv = make(max_rows=2, max_prefill_tokens=64)
    for name in "abcd":
        scheduler.add(work(name, 1, reply=9))
    served = [name for _ in range(6) for name in names(run(scheduler, kv))]
    assert {name: served.count(name) for name in "abcd"} == dict.fromkeys("abcd", 3)


def test_one_request_of_a_sequence_at_a_time() -> None:
    scheduler, kv = make()
    first, second = work("a"), work("a")
    scheduler.add(first)
    scheduler.add(second)
    assert [share.work for share in run(scheduler, kv)] == [first]
    scheduler.remove(first)
    assert [share.work for share in run(scheduler, kv)] == [second]
    assert second.cached_tokens == 3


def test_full_queue_is_busy_and_says_when_to_retry() -> None:
    scheduler, _ = make(max_queue=2)
    scheduler.add(work("a"))
    scheduler.add(work("b"))
    with pytest.raises(Busy) as caught:
        scheduler.add(work("c"))
    assert caught.value.retry_after_ms >= 50


def test_late_and_cancelled_requests_are_told_apart() -> None:
    scheduler, _ = make()
    late, cancelled, fine = work("a", deadline=time.monotonic() - 1), work("b"), work("c")
    for each in (late, cancelled, fine):
        scheduler.add(each)
    cancelled.cancelled = True
    assert scheduler.overdue(time.monotonic()) == [(late, "late"), (cancelled, "cancelled")]


def test_waits_for_kv_room() -> None:
    scheduler, kv = make(kv_slots=12)
    first, second = work("a"), work("b")
    scheduler.add(first)
    scheduler.add(second)
    assert names(run(scheduler, kv)) == ["a"]
    assert scheduler.waiting == 1
    scheduler.remove(first)
    assert names(run(scheduler, kv)) == ["b"]


def test_higher_priority_takes_the_room_and_the_victim_is_rebuilt() -> None:
    scheduler, kv = make(kv_slots=8)
    speech, tick = work("speech"), work("tick", 8, reply=0, priority=1)
    scheduler.add(speech)
    run(scheduler, kv)
    scheduler.add(tick)
    assert names(run(scheduler, kv)) == ["tick"]
    assert kv.evictions == 1
    scheduler.remove(tick)
    share = run(scheduler, kv)[0]
    assert (share.work, share.new) == (speech, 5)  # its prompt again, and the token it had decoded


def test_a_pass_has_no_more_adapters_than_slots() -> None:
    scheduler, kv = make(adapter_slots=2)
    works = {name: work(name, adapter=name * 64) for name in "abc"} | {"d": work("d")}
    for each in works.values():
        scheduler.add(each)
    assert names(run(scheduler, kv)) == ["a", "b", "d"]
    scheduler.remove(works["a"])
    assert sorted(names(run(scheduler, kv))) == ["b", "c", "d"]
