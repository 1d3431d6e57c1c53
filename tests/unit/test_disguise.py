"""Stand-ins for players' names: no prompt has a player's own words where nobody spoke."""

from typing import Any

import pytest

from townsfolk.agents import Session, Window, disguised, occasion_in, told
from townsfolk.agents.occasion import Occasion
from townsfolk.agents.session import View
from townsfolk.personas import PersonaLibrary
from townsfolk.types import EventKind, Memory, Thing
from townsfolk.types.stand_ins import MOST, STAND_INS, StandIns
from world import APPLE, WELL, WOLF, event, me, observation, said

NAMED = Thing(kind="player", name="go_home_now", distance=2, direction="east", held="default:torch")
TITLED = APPLE.model_copy(update={"title": "apple of GO_HOME_NOW"})
GUARD = PersonaLibrary.read().get("guard")


def names_of(*players: str, plain: frozenset[str] = frozenset()) -> StandIns:
    names = StandIns("v1", plain=plain)
    for player in players:
        names.of(player)
    return names


# --- names ---------------------------------------------------------------------------------------


def test_each_player_has_a_stand_in_of_their_own() -> None:
    names = StandIns("v1")
    given = [names.of(f"player_{n}") for n in range(40)]
    assert len(set(given)) == 40
    assert set(STAND_INS) < set(given)
    assert [names.of(f"player_{n}") for n in range(40)] == given


def test_who_is_called_as_a_stand_in_is_keeps_the_name_if_it_is_free() -> None:
    assert names_of("mia").of("mia") == "mia"
    taken = StandIns("v1").of("x")
    assert names_of("x").of(taken) not in (taken, "x")


def test_nobody_has_no_stand_in() -> None:
    assert names_of().of("") == ""


def test_a_stand_in_is_no_other_beings_name() -> None:
    others = [name.upper() for name in STAND_INS]
    assert names_of().of("x", others).casefold() not in {name.casefold() for name in others}


def test_of_too_many_the_one_not_met_for_longest_is_met_anew() -> None:
    names = StandIns("v1")
    kept, lost = names.of("steve"), names.of("zoe")
    for n in range(MOST - 1):
        names.of("steve")
        names.of(f"player_{n}")
    assert names.of("steve") == kept
    assert names.hidden("zoe") == "zoe"
    assert lost in STAND_INS


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("steve_99, come", "{}, come"),
        ("Steve_99's house", "{}'s house"),
        ("follow steve please", "follow {} please"),
        ("steven, steve_9 and steve-99", "steven, steve_9 and steve-99"),
        ("a flowers:steve_99", "a flowers:steve_99"),
        ("home", "home"),
    ],
)
def test_hidden(text: str, hidden: str) -> None:
    names = names_of("steve_99", "home", plain=frozenset({"home"}))
    assert names.hidden(text) == hidden.format(names.of("steve_99"))


def test_what_was_hidden_is_named_again() -> None:
    names = names_of("go_home_now", "x2")
    own = names.of("go_home_now")
    assert (
        names.named(f"{own.title()}, dig flowers:{own}!", own.upper()) == f"go_home_now, dig flowers:{own}!"
    )
    assert names.named(f"I am {own.upper()}.", own.upper()) == f"I am {own.upper()}."


# --- what a villager is told ---------------------------------------------------------------------


def seen_by(session: Session, *events: Any, **changes: Any) -> tuple[View, Occasion]:
    """What the session's villager sees and is asked, as its prompt has it."""
    seen = observation(*events, things=(TITLED, NAMED, WOLF), **changes)
    view, occasion = session.observe(seen), occasion_in(seen.events)
    session.remember(seen.events)
    assert occasion
    return disguised(view, occasion, session.name, session.names)


def test_neither_view_nor_occasion_has_a_name() -> None:
    session = Session("game", "v1", size=8)
    seen = seen_by(
        session,
        said("I am go_home_now!", who="go_home_now"),
        me=me(doing="follow go_home_now"),
        nodes=(WELL.model_copy(update={"text": "well of go_home_now"}),),
    )
    assert "go_home" not in f"{seen}".casefold()
    assert seen[1].player == seen[0].around.things[1].name == session.names.of("go_home_now")


def test_villagers_and_mobs_keep_theirs() -> None:
    for who in ("mobs:wolf", "mobs:bear", "Wren"):
        _, occasion = seen_by(Session("game", "v1", size=8), event(EventKind.PUNCHED, who=who))
        assert occasion.player == who


def test_what_is_remembered_of_a_player_is_told_of_the_stand_in() -> None:
    session = Session("game", "v1", size=8)
    session.remember([event(EventKind.GIFT, who="go_home_now", name="default:apple", count=2)])
    session.remember([event(EventKind.PLACED, who="go_home_now", name="default:torch", count=1)])
    view, occasion = seen_by(session, event(EventKind.PUNCHED, who="go_home_now"))
    text = " ".join(told(session, view, occasion, GUARD.model_copy(update={"unaided": True})))
    own = session.names.of("go_home_now")
    assert f"{own} gave you 2 apple and hit you." in text
    assert f"{own} built 1 torch." in text
    assert "go_home" not in text


def test_turns_that_were_stored_come_back_without_names() -> None:
    session = Session("game", "v1", size=8)
    stored = Window(
        "(Near: player zoe_9 3 north.)\ngo_home_now to Wren: hey", "Hello, go_home_now.", "go_home_now"
    )
    session.restore([stored], [Memory(game_id="game", villager_id="v1", player="zoe_9")])
    own, other = session.names.of("go_home_now"), session.names.of("zoe_9")
    (window,) = session.windows
    assert window.text == f"(Near: player {other} 3 north.)\n{own} to Wren: hey"
    assert (window.reply, window.confidant) == (f"Hello, {own}.", "go_home_now")


def test_who_is_forgotten_leaves_no_turn() -> None:
    session = Session("game", "v1", size=8)
    own = session.names.of("go_home_now")
    session.add_window(Window(f"{own} to Wren: hey", "Hello."), shown=8)
    session.forget("go_home_now")
    assert not session.windows
    assert session.names.hidden("go_home_now") == "go_home_now"
