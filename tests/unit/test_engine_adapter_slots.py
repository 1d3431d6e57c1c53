"""Adapters in slots: who makes way, who keeps a slot, from where on one applies."""

import pytest

from townsfolk.engine.adapter_slots import AdapterSlots, AdapterUse, LoadedAdapter
from townsfolk.errors import AdapterError


def adapter(name: str, invocation: tuple[int, ...] = ()) -> LoadedAdapter:
    return LoadedAdapter(name, 1, 0, invocation, None)


def loaded(count: int, names: str) -> AdapterSlots:
    slots = AdapterSlots(count)
    for name in names:
        slots.load(adapter(name))
    return slots


def place(slots: AdapterSlots, names: str) -> bool:
    return slots.place([slots.get(name) for name in names])


def test_least_recently_used_adapter_makes_way() -> None:
    slots = loaded(2, "abc")
    assert place(slots, "ab")
    assert not place(slots, "a")
    assert place(slots, "c")
    assert slots.slot("b") is None
    assert slots.slot("a") is not None


def test_adapters_of_the_same_pass_never_displace_each_other() -> None:
    slots = loaded(2, "abc")
    place(slots, "ab")
    place(slots, "ca")
    assert slots.slot("a") is not None
    assert slots.slot("c") is not None


def test_pinned_adapters_keep_their_slots() -> None:
    slots = loaded(2, "abcd")
    slots.pin(["a"])
    for name in "bcd":
        assert place(slots, name)
        assert slots.slot("a") is not None
    assert not slots.fit({"b", "c"})
    assert slots.fit({"a", "b"})
    slots.pin([])
    assert slots.fit({"b", "c"})


def test_pins_leave_a_slot_for_others() -> None:
    slots = loaded(2, "ab")
    with pytest.raises(AdapterError, match="must stay free"):
        slots.pin("ab")
    with pytest.raises(AdapterError, match="not loaded"):
        slots.pin("x")


def test_an_unloaded_adapter_serves_who_still_uses_it_then_goes() -> None:
    slots = loaded(2, "ab")
    old = slots.get("a")
    slots.place([old])
    slots.unload("a")
    with pytest.raises(AdapterError, match="not loaded"):
        slots.get("a")
    assert not slots.place([old])
    assert place(slots, "b")
    assert old not in slots.resident


def test_an_adapter_that_is_here_already_is_not_kept_twice() -> None:
    slots = loaded(2, "a")
    first = slots.get("a")
    slots.load(adapter("a"))
    assert slots.get("a") is first
    slots.place([first])
    slots.unload("a")
    slots.load(adapter("a"))  # before a pass cleared its slot
    assert slots.get("a") is first


@pytest.mark.parametrize(
    ("invocation", "prompt", "start"),
    [
        ((), [1, 2, 3], 0),
        ((2, 3), [1, 2, 3], 1),
        ((2, 3), [2, 3, 1, 2, 3, 2], 3),  # the last occurrence, from its first token
        ((1, 2, 3), [1, 2, 3], 0),
        ((2, 2), [2, 2, 2], 1),
        ((2, 3), [1, 2], None),
        ((2, 3), [3, 2], None),
    ],
)
def test_from_where_an_adapter_applies(
    invocation: tuple[int, ...], prompt: list[int], start: int | None
) -> None:
    slots = AdapterSlots(1)
    slots.load(adapter("a", invocation))
    assert slots.get("a").starts_at(prompt) == start
    expected = AdapterUse() if start is None else AdapterUse(slots.get("a"), start)
    assert slots.use("a", prompt) == expected
