"""Who is in the next pass: priority, round robin, chunks, room, deadlines, the bounded queue."""

import time
from collections import Counter

import numpy as np
import pytest

from townsfolk.engine.adapter_slots import AdapterSlots, AdapterUse, LoadedAdapter
from townsfolk.engine.kv import KvCache
from townsfolk.engine.request import GenerationRequest
from townsfolk.engine.scheduler import Scheduler, Share, Work
from townsfolk.errors import Busy


def make(kv_slots: int = 1_000, **limits: int) -> tuple[Scheduler, KvCache]:
    kv = KvCache(kv_slots)
    defaults = {"max_queue": 8, "max_rows": 4, "max_prefill_tokens": 16}
    return Scheduler(kv, AdapterSlots(2), **(defaults | limits)), kv


def work(
    name: str,
    prompt: int = 4,
    *,
    reply: int = 4,
    priority: int = 0,
    deadline: float | None = None,
    adapter: str | None = None,
) -> Work:
    use = AdapterUse(LoadedAdapter(adapter, 8, 0, (), None)) if adapter else AdapterUse()
    first = sum(name.encode()) * 1_000  # no two names share a prefix
    request = GenerationRequest(
        name, list(range(first, first + prompt)), reply, adapter, priority=priority, deadline=deadline
    )
    return Work(request, lambda event: None, use, prompt + reply, np.random.default_rng(0))


def names(shares: list[Share]) -> list[str]:
    return [share.work.request.sequence_id for share in shares]


def run(scheduler: Scheduler, kv: KvCache) -> list[Share]:
    """Plan a pass and do what the core does after it: each completed row gets a token."""
    shares = scheduler.plan()
    for share in shares:
        cached = share.work.cached
        assert cached is not None
        kv.extend(cached, share.work.tokens[cached.length :][: share.new])
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


def test_what_two_prompts_begin_with_is_run_once() -> None:
    scheduler, kv = make()
    scheduler.add(work("ab", 40))
    scheduler.add(work("ba", 40, priority=-1))  # named so that their prompts are the same
    shares = [share for _ in range(3) for share in run(scheduler, kv)]
    assert [(name, share.new) for name, share in zip(names(shares), shares, strict=True)] == [
        ("ab", 16),
        ("ab", 16),
        ("ab", 8),
        ("ba", 2),
    ]
    assert run(scheduler, kv)[-1].completes


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


@pytest.mark.parametrize(
    ("waiting", "coming", "taken"),
    [(0, 0, False), (0, 1, False), (1, 1, False), (1, 0, True), (-1, 1, True)],
    ids=["speech, speech", "speech, tick", "tick, tick", "tick, speech", "in the background, tick"],
)
def test_nobody_joins_who_would_be_late_or_make_others_so(waiting: int, coming: int, taken: bool) -> None:
    scheduler, _ = make()
    slow, now = work("a", priority=waiting, deadline=time.monotonic() + 4), time.monotonic()
    scheduler.add(slow)
    scheduler.add(work("b", priority=coming))
    slow.submitted = now - 5  # more than half its time is over
    if taken:
        scheduler.add(work("c", priority=coming))
        return
    with pytest.raises(Busy, match="more to do than it can"):
        scheduler.add(work("c", priority=coming))
    slow.first_token_at = now
    scheduler.add(work("c", priority=coming))


def test_late_and_cancelled_requests_are_told_apart() -> None:
    scheduler, _ = make()
    late, cancelled, fine = work("a", deadline=time.monotonic() - 1), work("b"), work("c")
    for each in (fine, cancelled, late):
        scheduler.add(each)
    cancelled.cancelled = True
    assert scheduler.overdue(time.monotonic()) == [(cancelled, "cancelled"), (late, "late")]


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


def test_nobody_is_sent_back_in_vain() -> None:
    scheduler, kv = make(kv_slots=24)
    same, low = work("same", priority=1), work("low")
    for each in (same, low):
        scheduler.add(each)
    run(scheduler, kv)
    scheduler.add(work("high", 18, reply=0, priority=1))  # would not fit beside `same` alone either
    assert names(run(scheduler, kv)) == ["same", "low"]


def test_only_as_many_are_sent_back_as_need_be() -> None:
    scheduler, kv = make(kv_slots=24)
    for name in "abc":
        scheduler.add(work(name))
    run(scheduler, kv)
    scheduler.add(work("high", 14, reply=0, priority=1))
    assert names(run(scheduler, kv)) == ["high", "a"]


def test_a_request_that_ends_while_it_waits_costs_its_sequence_no_place() -> None:
    scheduler, kv = make(kv_slots=8)
    first = work("a")
    scheduler.add(first)
    run(scheduler, kv)
    cancelled = work("b")
    for each in (cancelled, work("b"), work("c")):
        scheduler.add(each)
    scheduler.remove(cancelled)
    scheduler.remove(first)
    assert names(run(scheduler, kv)) == ["b"]


def test_a_pass_has_no_more_adapters_than_slots() -> None:
    scheduler, kv = make()
    works = {name: work(name, adapter=name * 64) for name in "abc"} | {"d": work("d")}
    for each in works.values():
        scheduler.add(each)
    assert names(run(scheduler, kv)) == ["a", "b", "d"]
    scheduler.remove(works["a"])
    assert sorted(names(run(scheduler, kv))) == ["b", "c", "d"]


def test_speech_is_prefilled_in_small_chunks_while_ticks_decide() -> None:
    scheduler, kv = make(max_prefill_tokens=64)
    scheduler.add(work("speech", 200))
    scheduler.add(work("tick", 24, priority=1))
    tick, speech = run(scheduler, kv)
    assert (tick.new, tick.completes, speech.new) == (24, True, 8)
    assert [share.new for share in run(scheduler, kv)] == [1, 8]
    scheduler.remove(tick.work)
    assert [share.new for share in run(scheduler, kv)] == [64]


def test_a_tick_waits_for_no_more_than_the_pass_under_way() -> None:
    scheduler, kv = make(max_rows=4)
    for name in "abcd":
        scheduler.add(work(name, 100))
    for _ in range(3):
        run(scheduler, kv)
        tick = work("tick", priority=1)
        scheduler.add(tick)
        first = run(scheduler, kv)[0]
        assert (first.work, first.completes) == (tick, True)
        scheduler.remove(tick)


def test_thirty_two_villagers_fit_into_one_pass() -> None:
    scheduler, kv = make(max_rows=32, max_queue=64, max_prefill_tokens=128)
    for n in range(32):
        scheduler.add(work(f"v{n}", 1))
    assert len(run(scheduler, kv)) == 32


def served_under_overload(passes: int, villagers: dict[str, str | None], greedy: str) -> Counter[str]:
    """Tokens of each villager, who asks again when it was answered; `greedy` keeps four requests waiting."""
    scheduler, kv = make(kv_slots=48, max_queue=64)
    served: Counter[str] = Counter(dict.fromkeys(villagers, 0))
    for name, adapter in villagers.items():
        for _ in range(4 if name == greedy else 1):
            scheduler.add(work(name, adapter=adapter))
    for _ in range(passes):
        for share in run(scheduler, kv):
            name = share.work.request.sequence_id
            served[name] += share.completes
            if share.completes and len(share.work.reply) == 4:
                scheduler.remove(share.work)
                scheduler.add(work(name, adapter=villagers[name]))
    return served


def test_villagers_are_served_alike_however_much_one_asks() -> None:
    """Ten villagers, room for six, four rows a pass."""
    served = served_under_overload(300, dict.fromkeys("abcdefghij"), greedy="a")
    assert sum(served.values()) > 1_000
    assert max(served.values()) - min(served.values()) <= 2 * 4  # two replies


def test_more_adapters_than_slots_are_served_alike() -> None:
    villagers: dict[str, str | None] = {name: name * 64 for name in "abcde"}
    served = served_under_overload(300, villagers, greedy="a")
    assert max(served.values()) - min(served.values()) <= 2 * 4
