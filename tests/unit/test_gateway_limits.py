"""The gate and the rate."""

import pytest

from townsfolk.errors import Busy, TooOften
from townsfolk.gateway import limits
from townsfolk.gateway.limits import Gate, RateLimit


def test_the_gate_lets_as_many_in_as_it_has_places() -> None:
    gate = Gate(2)
    with gate.enter():
        with gate.enter(), pytest.raises(Busy), gate.enter():
            pass
        with gate.enter():
            pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("townsfolk.gateway.limits.time.monotonic", lambda: now[0])
    return now


def test_a_burst_then_as_often_as_is_allowed(clock: list[float]) -> None:
    rate = RateLimit(per_second=2, burst_s=5, setting="limits.x")
    for _ in range(10):
        rate.take("sam")
    with pytest.raises(TooOften, match=r"sam calls too often \(limits\.x\): retry after 501 ms") as told:
        rate.take("sam")
    assert told.value.retry_after_ms == 501
    rate.take("somebody else")
    clock[0] += told.value.retry_after_ms / 1000
    rate.take("sam")
    with pytest.raises(TooOften):
        rate.take("sam")


def test_several_are_taken_together_or_not_at_all(clock: list[float]) -> None:
    rate = RateLimit(per_second=1, burst_s=3, setting="limits.x")
    rate.take("sam", 2)
    with pytest.raises(TooOften):
        rate.take("sam", 2)
    rate.take("sam", 1)
    rate.take("anna", 99)  # more than ever fits: it takes all there is
    with pytest.raises(TooOften):
        rate.take("anna")


def test_made_up_names_fill_no_memory(clock: list[float]) -> None:
    rate = RateLimit(per_second=1, burst_s=1, setting="limits.x")
    for number in range(3 * limits.MOST_KEYS):
        clock[0] += 0.5
        rate.take(f"player {number}")
    assert len(rate._full_at) <= limits.MOST_KEYS
