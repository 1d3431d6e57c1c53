"""Stand-ins for players' names: no prompt has a player's own words where nobody spoke."""

from typing import Any

import pytest
from test_agents import ByteTokenizer

from tiny_model import CHATML
from townsfolk.agents import (
    ChatTemplate,
    Disguise,
    Occasion,
    PromptBuilder,
    Session,
    View,
    Window,
    occasion_in,
)
from townsfolk.interpreter import defuse
from townsfolk.personas import PersonaLibrary
from townsfolk.types import EventKind, Memory, Offer, Slot, Thing
from townsfolk.types.stand_ins import MOST, NO_WORDS, StandIns, replaced
from world import APPLE, WELL, WOLF, event, me, observation, said

NAME = "go_home_now"
NAMED = Thing(kind="player", name=NAME, distance=2, direction="east", held="default:torch")
PERSONA = PersonaLibrary.read().get("guard").model_copy(update={"unaided": True})


def near(name: str, kind: Any = "player", title: str = "") -> Thing:
    return Thing(kind=kind, name=name, title=title, distance=3, direction="north")


# --- names ---------------------------------------------------------------------------------------


def test_each_player_has_a_stand_in_of_their_own_and_keeps_it() -> None:
    names, players = StandIns(), [f"player_{n}" for n in range(40)]
    given = names.given(players)
    assert len({own.casefold() for own in given.values()}) == 40
    assert {*NO_WORDS} < {*given.values()}
    assert names.given(reversed(players)) == given


def test_who_is_called_as_a_stand_in_is_keeps_the_name_if_it_is_free() -> None:
    names = StandIns()
    assert names.given(["wren", "mia"]) == {"wren": "wren", "mia": "mia"}
    (taken,) = StandIns().given(["x"]).values()
    assert StandIns().given(["x", taken])[taken] not in (taken, "x")


def test_a_stand_in_that_means_something_else_here_is_changed() -> None:
    names = StandIns()
    (before,) = names.given(["x"]).values()
    (after,) = names.given(["x"], {before.casefold()}).values()
    assert after != before
    assert names.given(["x"]) == {"x": after}


def test_of_too_many_the_one_not_met_for_longest_makes_way() -> None:
    names = StandIns()
    players = [f"player_{n}" for n in range(len(NO_WORDS))]
    for player in players:
        names.given([player])
    kept = names.given(players[:1])
    (robbed,) = names.given(["new"]).values()
    assert robbed in NO_WORDS
    assert names.given(players[:1]) == kept


def test_crowds_that_come_and_go_fill_no_memory() -> None:
    names = StandIns()
    for crowd in range(20):
        names.given(f"player_{crowd}_{n}" for n in range(48))
    assert len(names._given) <= MOST


def test_nobody_has_no_stand_in() -> None:
    assert StandIns().given(["", ""]) == {}


def test_only_ascii_has_cases() -> None:
    """`ı` and `İ` count as cases of `i` in a pattern, but not in a look-up."""
    for text in ("mıke", "MİKE", "ſam and \u212aim"):
        assert replaced(text, {"mike": "tom", "sam": "x", "kim": "y"}) == text
    assert replaced("MIKE, mike!", {"mike": "tom"}) == "tom, tom!"


# --- what a villager is told ---------------------------------------------------------------------


def worn(session: Session, *events: Any, **changes: Any) -> tuple[Disguise, View, Occasion]:
    """What is put on for a turn in which `home` is an everyday word, and what it is put on."""
    seen = observation(*events, **({"things": (NAMED, WOLF)} | changes))
    view, occasion = session.observe(seen), occasion_in(seen.events)
    session.remember(seen.events)
    assert occasion
    return Disguise.of(session, view, occasion, {"home"}), view, occasion


def shown(session: Session, *events: Any, **changes: Any) -> str:
    """The window that the model is shown."""
    prompts = PromptBuilder(ChatTemplate(CHATML, ByteTokenizer()), 100_000, defuse)
    disguise, view, occasion = worn(session, *events, **changes)
    return prompts.window(session, view, occasion, PERSONA, disguise)


def test_no_window_has_a_name() -> None:
    session = Session("game", "v1", size=8)
    session.remember([event(EventKind.GIFT, who=NAME, name="default:apple", count=2)])
    session.remember([event(EventKind.PLACED, who=NAME, name="default:torch", count=1)])
    text = shown(session, said(f"Owner:{NAME} is me, GO_HOME_NOW!", who=NAME), me=me(doing=f"follow {NAME}"))
    assert "home" not in text.casefold()
    (own,) = session.names.given([NAME]).values()
    for told in ("You do: follow {}.", "{} holds torch.", "{} built 1 torch.", "{} gave you 2 apple"):
        assert told.format(own) in text
    assert text.endswith(f"{own} to Wren: Owner:{own} is me, {own}!")


def test_what_was_done_last_has_no_name() -> None:
    session = Session("game", "v1", size=8)
    session.remember([event(EventKind.JOINED, who=NAME), event(EventKind.ARRIVED, text=f"follow {NAME}")])
    assert "home" not in shown(session, event(EventKind.TICK), things=())


def test_villagers_and_mobs_keep_theirs() -> None:
    for who in ("mobs:wolf", "mobs:bear", "Tam"):
        things = (NAMED, WOLF, near("Tam", "villager"))
        hit = event(EventKind.PUNCHED, who=who)
        disguise, _, occasion = worn(Session("game", "v1", size=8), hit, things=things)
        assert disguise.occasion(occasion).player == who


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("steve_99, come", "{}, come"),
        ("STEVE_99's house, -steve_99", "{}'s house, -{}"),
        ("follow Steve please", "follow {} please"),
        ("steven, steve_9 and steve-99", "steven, steve_9 and steve-99"),
        ("a wolf, an apple, home", "a wolf, an apple, home"),
    ],
)
def test_players_are_hidden_where_they_are_meant(text: str, hidden: str) -> None:
    players = tuple(map(near, ("steve_99", "wolf99", "apple", "home")))
    session = Session("game", "v1", size=8)
    disguise, _, _ = worn(session, said("hi"), things=(*players, WOLF, APPLE))
    assert disguise.hidden(text) == hidden.replace("{}", disguise.name("steve_99"))


def test_what_is_said_and_done_has_their_names_again() -> None:
    disguise, _, _ = worn(Session("game", "v1", size=8), said("hi", who=NAME))
    own = disguise.name(NAME)
    assert (
        disguise.named(f"{own.title()}, dig flowers:{own}! give {own}")
        == f"{NAME}, dig flowers:{own}! give {NAME}"
    )


def test_home_is_a_place_even_if_a_player_is_called_so() -> None:
    disguise, _, _ = worn(Session("game", "v1", size=8), said("hi"), things=(near("home"), NAMED))
    offer = Offer(name="goto", slots=(Slot(kind="choice", choices=("home", NAME)),))
    assert disguise.offers([offer])[0].slots[0].choices == ("home", disguise.name(NAME))
    assert disguise.tag("goto home") == "goto home"
    assert disguise.name("home") in NO_WORDS


def test_a_villager_that_is_called_as_a_stand_in_is_not_taken_for_a_player() -> None:
    session = Session("game", "v1", size=8)
    first, _, _ = worn(session, said("hi", who=NAME))
    own = first.name(NAME)
    session.name = own.title()
    things = (NAMED, near(own.upper(), "villager"))
    second, _, _ = worn(session, said("hi", who=NAME), things=things, name=own.title())
    assert second.name(NAME).casefold() != own.casefold()
    assert second.named(f"look_at {own.upper()}") == f"look_at {own.upper()}"


def test_a_stand_in_is_no_word_of_a_sign_nor_of_what_is_said() -> None:
    words = " ".join(NO_WORDS[:5])
    sign = WELL.model_copy(update={"text": words})
    for spoken, nodes in (("hi", (sign,)), (words, (WELL,))):
        disguise, _, _ = worn(Session("game", "v1", size=8), said(spoken, who=NAME), nodes=nodes)
        assert disguise.name(NAME) not in NO_WORDS[:5]


# --- turns before --------------------------------------------------------------------------------


def test_turns_that_were_stored_come_back_without_names() -> None:
    session = Session("game", "v1", size=8)
    session.name = NO_WORDS[0].title()
    stored = Window(f"(Near: player zoe_9 3 north.)\n{NAME} to X: hey, home", f"Hello, {NAME}.", NAME)
    session.restore([stored], [Memory(game_id="game", villager_id="v1", player="zoe_9")])
    names = session.names.given([NAME, "zoe_9"])
    (window,) = session.windows
    assert window.text == f"(Near: player {names['zoe_9']} 3 north.)\n{names[NAME]} to X: hey, home"
    assert (window.reply, window.confidant) == (f"Hello, {names[NAME]}.", NAME)
    assert session.said == f"Hello, {NAME}."
    assert NO_WORDS[0] not in names.values()


def test_who_is_forgotten_leaves_no_turn_and_others_keep_theirs() -> None:
    session = Session("game", "v1", size=8)
    of_others = Window("tom to Wren: the same tomorrow", "Yes.", about=frozenset({"zoe"}))
    session.add_window(of_others, shown=8)
    session.add_window(Window("sam to Wren: hey", "Hello.", about=frozenset({NAME})), shown=8)
    session.forget(NAME)
    session.forget("stranger")
    assert [*session.windows] == [of_others]
