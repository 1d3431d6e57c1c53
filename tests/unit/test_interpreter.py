"""Grammar and parser: what may be decoded, and what decoded text means."""

import copy
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from townsfolk.errors import InvalidRequest
from townsfolk.interpreter import (
    ChoiceCompiler,
    ChoiceConstraint,
    StreamParser,
    defuse,
    parse_action,
    reply_grammar,
    split_reply,
)
from townsfolk.interpreter.choices import round_numbers
from townsfolk.interpreter.grammar import int_pattern
from townsfolk.types import Action, Offer, Slot

PLACES = Slot(kind="choice", choices=("home", "hometown", "Alice"))
OFFERS = (
    Offer(name="wait", slots=(Slot(kind="int", min=1, max=30),)),
    Offer(name="wave"),
    Offer(name="goto", slots=(PLACES,)),
    Offer(name="give", slots=(Slot(kind="choice", choices=("default:apple",)), PLACES)),
    Offer(name="say", slots=(Slot(kind="text", max_length=20),)),
)


@given(st.integers(-1200, 1200), st.integers(0, 1500))
def test_int_pattern_matches_exactly_its_range(low: int, size: int) -> None:
    pattern = re.compile(int_pattern(low, low + size))
    matched = [value for value in range(low - 50, low + size + 51) if pattern.fullmatch(str(value))]
    assert matched == list(range(low, low + size + 1))


def test_int_pattern_takes_no_leading_zero() -> None:
    assert not re.fullmatch(int_pattern(0, 99), "07")


def test_a_range_without_numbers_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="from 3 to 2"):
        int_pattern(3, 2)


def choices(*offers: Offer) -> ChoiceConstraint:
    """Tokens are bytes."""
    return ChoiceCompiler(lambda text: list(text.encode()), vocab_size=260).constraint(offers)


def allowed(constraint: ChoiceConstraint) -> list[int]:
    bits = np.unpackbits(constraint.mask().view(np.uint8), bitorder="little")
    return [int(token) for token in np.flatnonzero(bits)]


def tags(constraint: ChoiceConstraint, start: bytes = b"") -> set[str]:
    """All that can be decided."""
    if constraint.done:
        return {start.decode()}
    found = set()
    for token in allowed(constraint):
        branch = copy.copy(constraint)
        branch.advance(token)
        found |= tags(branch, start + bytes([token]))
    return found


def test_a_decision_is_between_what_is_offered_and_is_no_free_text() -> None:
    places = ("home", "hometown", "Alice")
    assert tags(choices(*OFFERS)) == {
        "[[ACTION:wave]]",
        *(f"[[ACTION:wait {seconds}]]" for seconds in (1, 2, 5, 30)),
        *(f"[[ACTION:goto {place}]]" for place in places),
        *(f"[[ACTION:give default:apple {place}]]" for place in places),
    }


def test_what_the_choices_share_is_forced() -> None:
    constraint = choices(*OFFERS)
    steps = []
    for choice in "wv":
        forced = constraint.forced()
        for token in (*forced, ord(choice)):
            constraint.advance(token)
        steps.append(bytes(forced).decode())
    assert steps == ["[[ACTION:", "a"]
    assert bytes(constraint.forced()) == b"e]]"


@given(st.integers(-99, 99), st.integers(0, 500))
def test_few_numbers_stand_for_all(low: int, size: int) -> None:
    some = round_numbers(low, low + size)
    assert some[0] == low
    assert all(low <= value <= low + size for value in some)
    assert len({str(value)[0] for value in some}) == len(some)


@pytest.mark.parametrize("offers", [(), OFFERS[-1:]])
def test_a_decision_between_nothing_is_refused(offers: tuple[Offer, ...]) -> None:
    with pytest.raises(InvalidRequest, match="register"):
        choices(*offers)


@pytest.mark.parametrize(
    ("inside", "action"),
    [
        ("move_north", Action(name="move_north")),
        ("give default:apple 2 sam", Action(name="give", args=("default:apple", "2", "sam"))),
        ('say "Hello there!"', Action(name="say", args=("Hello there!",))),
        ('talk: "Hello!"', Action(name="say", args=("Hello!",))),
        ("talk: Hello", Action(name="say", args=("Hello",))),
        ("", None),
        ('say "unclosed', None),
        ("Move north", None),
        ("a b c d e f", None),
    ],
)
def test_the_inside_of_a_tag(inside: str, action: Action | None) -> None:
    assert parse_action(inside) == action


@given(st.lists(st.text("aZ09_:'\\\\#. ", max_size=12), max_size=4))
def test_a_tag_is_read_as_it_was_written(args: list[str]) -> None:
    action = Action(name="act", args=tuple(args))
    assert parse_action(action.tag()) == action


def test_speech_and_actions_are_told_apart() -> None:
    speech, actions = split_reply("[[ACTION:wave]] Hello! [[ACTION:bad name?")
    assert (speech, [action.name for action in actions]) == ("Hello! [[ACTION:bad name?", ["wave"])


@given(st.integers(1, 7))
def test_a_stream_gives_the_same_parts_however_it_is_cut(size: int) -> None:
    text = "[[ACTION:follow sam]] Lead on, Sam! It is 3.5 miles. [[ACTION:wave]] Well then"
    parser, parts = StreamParser(), []
    for start in range(0, len(text), size):
        parts += parser.feed(text[start : start + size])
    parts += parser.end()
    assert [part.speech for part in parts if part.speech] == [
        "Lead on, Sam!",
        "It is 3.5 miles.",
        "Well then",
    ]
    assert [action.tag() for part in parts for action in part.actions] == ["follow sam", "wave"]


def test_half_a_tag_is_never_an_action() -> None:
    parser = StreamParser()
    assert parser.feed("[[ACTION:dig default:chest") == []
    assert parser.end() == []


@given(st.text(alphabet="[]ACTION:wave ", max_size=40))
def test_defused_text_holds_no_tag(text: str) -> None:
    assert "[[" not in defuse(text)
    assert "]]" not in defuse(text)


def test_names_of_offers_stand_in_the_grammar() -> None:
    grammar = reply_grammar([Offer(name="wave")])
    assert "[[ACTION:wave" in grammar
