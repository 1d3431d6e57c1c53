"""KV bookkeeping: prefixes are reused and shared, idle sequences make way, nothing leaks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from townsfolk.engine.kv import BASE_ALONE, CachedSequence, KvCache, Origin, common_prefix


def fill(kv: KvCache, name: str, tokens: list[int], room: int = 0, origin: Origin = BASE_ALONE) -> int:
    """Run a whole request on sequence `name`; how many of its tokens were cached."""
    sequence = kv.admit(name, origin, tokens, room or len(tokens))
    assert sequence is not None
    cached = sequence.length
    kv.extend(sequence, tokens[cached:])
    kv.release(name)
    return cached


def free_slots(kv: KvCache) -> list[int]:
    return sorted([*kv._free, *range(kv._fresh, kv.capacity)])


def test_next_turn_keeps_the_common_prefix() -> None:
    kv = KvCache(32)
    assert fill(kv, "a", [1, 2, 3, 4]) == 0
    assert fill(kv, "a", [1, 2, 3, 9, 9]) == 3


def test_last_prompt_token_is_always_left_to_run() -> None:
    kv = KvCache(32)
    fill(kv, "a", [1, 2, 3])
    assert fill(kv, "a", [1, 2, 3]) == 2


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        (Origin("x", 0), Origin("y", 0), 0),
        (Origin("x", 0), BASE_ALONE, 0),
        (Origin("x", 3), BASE_ALONE, 3),
        (BASE_ALONE, Origin("x", 3), 3),
        (Origin("x", 3), Origin("y", 3), 3),  # an adapter was swapped
        (Origin("x", 2), Origin("y", 4), 2),
        (Origin("x", 2), Origin("x", 4), 2),  # the next turn was activated later
        (Origin("x", 3), Origin("x", 3), 5),
        (BASE_ALONE, BASE_ALONE, 5),
    ],
)
def test_a_prefix_is_shared_as_far_as_the_same_weights_computed_it(
    first: Origin, second: Origin, shared: int
) -> None:
    kv = KvCache(32)
    tokens = [1, 2, 3, 4, 5, 6]
    fill(kv, "a", tokens, origin=first)
    assert fill(kv, "b", tokens, origin=second) == shared


def test_sequences_share_the_slots_of_a_common_prefix() -> None:
    kv = KvCache(32)
    fill(kv, "a", [1, 2, 3, 4])
    assert fill(kv, "b", [1, 2, 3, 5]) == 3
    assert kv.used_fraction == 5 / 32
    kv.drop("a")
    assert fill(kv, "c", [1, 2, 3, 5]) == 3
    kv.drop("b")
    kv.drop("c")
    assert kv.used_fraction == 0


def test_what_another_sequence_ran_meanwhile_is_taken_over() -> None:
    kv = KvCache(32)
    first, second = (kv.admit(name, BASE_ALONE, [1, 2, 3, 4], room=4) for name in "ab")
    assert first
    assert second
    kv.extend(second, [1])
    kv.extend(first, [1, 2, 3, 4])
    assert kv.catch_up(second, [1, 2, 3, 4]) == 2
    assert second.slots[:3].tolist() == first.slots[:3].tolist()
    assert kv.used_fraction == 4 / 32
    assert kv.catch_up(second, [1, 2, 3, 4]) == kv.catch_up(first, [1, 2, 3, 4]) == 0


def test_least_recently_used_idle_sequence_makes_way() -> None:
    kv = KvCache(8)
    fill(kv, "old", [1, 2, 3])
    fill(kv, "new", [4, 5, 6])
    fill(kv, "old", [1, 2, 3, 7])  # used again: "new" is the oldest now
    fill(kv, "big", [8, 8, 8])
    assert kv.evictions == 1
    assert fill(kv, "old", [1, 2, 3, 7]) == 3


def test_no_room_while_sequences_are_in_use() -> None:
    kv = KvCache(8)
    assert kv.admit("a", BASE_ALONE, [1, 2], room=6)
    assert kv.admit("b", BASE_ALONE, [3, 4], room=6) is None
    kv.release("a")
    assert kv.admit("b", BASE_ALONE, [3, 4], room=6)


def test_a_shared_prefix_takes_room_once() -> None:
    kv = KvCache(15)
    opening = list(range(8))
    assert kv.admit("a", BASE_ALONE, [*opening, 90], room=10)
    kv.extend(kv._sequences["a"], [*opening, 90])
    for name, last in (("b", 91), ("c", 92), ("d", 93)):
        sequence = kv.admit(name, BASE_ALONE, [*opening, last], room=10)
        assert (sequence is not None) == (name != "d")  # 8 slots are shared, each takes 2 of its own
        if sequence:
            kv.extend(sequence, [last, last])


def test_a_cache_that_sheds_keeps_what_is_in_use_and_grows_no_further() -> None:
    kv = KvCache(32)
    fill(kv, "idle", [1, 2, 3, 4])
    busy = kv.admit("busy", BASE_ALONE, [7, 8, 9], 6)
    assert busy is not None
    kv.extend(busy, [7, 8, 9])
    assert kv.shed(least=10) == 7
    assert (busy.length, kv.capacity, kv.in_use("idle")) == (3, 10, False)
    assert kv.admit("large", BASE_ALONE, [5], 5) is None
    assert fill(kv, "small", [5], 4) == 0
    kv.grow()
    assert kv.admit("large", BASE_ALONE, [5], 20) is not None


def test_a_cache_that_sheds_leaves_those_in_use_the_room_that_they_were_promised() -> None:
    kv = KvCache(32)
    busy = kv.admit("busy", BASE_ALONE, [7, 8, 9], 20)
    assert busy is not None
    kv.extend(busy, [7, 8, 9])
    kv.shed(least=4)
    assert len(kv.extend(busy, [1] * 17)) == 20


def test_slots_that_nobody_holds_are_fresh_again() -> None:
    kv = KvCache(32)
    first, last = (kv.admit(name, BASE_ALONE, [9, 9], 4) for name in "ab")
    assert first is not None
    assert last is not None
    kv.extend(first, [1, 2])
    kv.extend(last, [1, 2])
    kv.release("a")
    assert (kv.shed(least=8), kv.used_fraction) == (4, 2 / 8)
    kv.release("b")
    assert (kv.shed(least=8), kv.used_fraction) == (0, 0)
    assert fill(kv, "c", [1, 2, 3]) == 0


def test_truncate_frees_the_slots() -> None:
    kv = KvCache(8)
    sequence = kv.admit("a", BASE_ALONE, [1, 2, 3], room=3)
    assert sequence
    kv.extend(sequence, [1, 2, 3])
    kv.truncate(sequence, 1)
    assert sequence.tokens.tolist() == [1]
    assert kv.used_fraction == 1 / 8


def test_forget_waits_until_the_sequence_is_idle() -> None:
    kv = KvCache(8)
    sequence = kv.admit("a", BASE_ALONE, [1, 2], room=2)
    assert sequence
    kv.extend(sequence, [1, 2])
    kv.forget("a")
    assert kv.used_fraction == 2 / 8
    kv.release("a")
    assert kv.used_fraction == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 2), min_size=1, max_size=6))))
def test_no_slot_is_lost_or_written_twice(turns: list[tuple[str, list[int]]]) -> None:
    kv = KvCache(8)
    for name, tokens in turns:
        sequence = kv.admit(name, BASE_ALONE, tokens, len(tokens))
        assert sequence is not None
        cached = sequence.length
        slots = kv.extend(sequence, tokens[cached:])
        assert len(set(slots.tolist())) == len(tokens)
        kv.release(name)
    for name in "abc":
        kv.drop(name)
    assert kv.used_fraction == 0
    assert free_slots(kv) == list(range(8))


@pytest.mark.parametrize(
    ("a", "b", "length"),
    [([1, 2, 3], [1, 2, 4], 2), ([], [1], 0), ([1, 2], [1, 2, 3], 2), ([1, 2], [3, 2], 0)],
)
def test_common_prefix(a: list[int], b: list[int], length: int) -> None:
    assert common_prefix(np.array(a, np.int32), np.array(b, np.int32)) == length


def test_what_is_in_use_is_not_admitted_again() -> None:
    kv = KvCache(8)
    sequence = kv.admit("a", BASE_ALONE, [1, 2], room=2)
    with pytest.raises(ValueError, match="in use"):
        kv.admit("a", BASE_ALONE, [1, 2], room=2)
    assert kv.in_use("a")
    assert kv._sequences["a"] is sequence


def test_fits_answers_what_admit_would_if_others_were_idle() -> None:
    kv = KvCache(8)
    kv.admit("a", BASE_ALONE, [1, 2], room=3)
    kv.admit("b", BASE_ALONE, [3, 4], room=3)
    assert not kv.fits(BASE_ALONE, [5], 5)
    assert kv.fits(BASE_ALONE, [5], 5, without={"a"})
    assert not kv.fits(BASE_ALONE, [5], 6, without={"a"})
    assert kv.fits(BASE_ALONE, [5], 8, without={"a", "b"})


NAMES = st.sampled_from("abcd")
ORIGINS = st.sampled_from([BASE_ALONE, Origin("x", 0), Origin("x", 2), Origin("y", 2)])
TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=7)


def computed(sequence: CachedSequence, position: int) -> object:
    """What the keys and values at `position` depend on: the tokens up to it, and the weights of each."""
    origin = sequence.origin
    weights = [origin.adapter if n >= origin.start else None for n in range(position + 1)]
    return tuple(sequence.tokens[: position + 1].tolist()), tuple(weights)


class AnyUse(RuleBasedStateMachine):
    """Sequences come, grow, fail and go, as the engine has them do; `content` is what the runner wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.kv = KvCache(12)
        self.content: dict[int, object] = {}
        self.running: dict[str, CachedSequence] = {}

    @rule(name=NAMES, origin=ORIGINS, prompt=TOKENS, reply=st.integers(0, 5))
    def admit(self, name: str, origin: Origin, prompt: list[int], reply: int) -> None:
        if name not in self.running:
            room = len(prompt) + reply
            fits = self.kv.fits(origin, prompt, room)
            sequence = self.kv.admit(name, origin, prompt, room)
            assert fits == (sequence is not None)
            if sequence:
                assert sequence.length < len(prompt)
                self.running[name] = sequence

    @precondition(lambda self: bool(self.running))
    @rule(data=st.data(), tokens=TOKENS, fails=st.booleans())
    def extend(self, data: st.DataObject, tokens: list[int], fails: bool) -> None:
        sequence = self.running[data.draw(st.sampled_from(sorted(self.running)))]
        before, tokens = sequence.length, tokens[: sequence.room - sequence.length]
        slots = self.kv.extend(sequence, tokens)
        assert len(set(slots.tolist())) == len(slots) == before + len(tokens)
        for position in range(before, sequence.length):
            self.content[int(slots[position])] = None if fails else computed(sequence, position)
        if fails:
            self.kv.truncate(sequence, before)

    @precondition(lambda self: bool(self.running))
    @rule(data=st.data(), prompt=TOKENS)
    def catch_up(self, data: st.DataObject, prompt: list[int]) -> None:
        sequence = self.running[data.draw(st.sampled_from(sorted(self.running)))]
        before = sequence.length
        gained = self.kv.catch_up(sequence, prompt[: sequence.room])
        assert sequence.length == before + gained

    @precondition(lambda self: bool(self.running))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[name]
        self.kv.release(name)

    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        self.kv.forget(name)

    @rule(least=st.integers(0, 12))
    def shed(self, least: int) -> None:
        unused = self.kv.shed(least)
        self.content = {slot: what for slot, what in self.content.items() if slot < unused}

    @rule()
    def grow(self) -> None:
        self.kv.grow()

    @invariant()
    def each_slot_counts_its_holders(self) -> None:
        holders = np.zeros(12, np.int32)
        for sequence in self.kv._sequences.values():
            holders[sequence.slots[: sequence.length]] += 1
        np.testing.assert_array_equal(self.kv._holders, holders)
        assert free_slots(self.kv) == np.flatnonzero(holders[: self.kv.capacity] == 0).tolist()

    @invariant()
    def each_slot_holds_what_its_sequences_expect(self) -> None:
        for sequence in self.kv._sequences.values():
            for position, slot in enumerate(sequence.slots[: sequence.length].tolist()):
                assert self.content[slot] == computed(sequence, position)


AnyUse.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestAnyUse = AnyUse.TestCase
