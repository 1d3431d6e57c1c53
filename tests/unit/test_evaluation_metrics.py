"""Each metric, by hand."""

import math

import numpy as np
import pytest

from townsfolk.personas import PersonaLibrary
from townsfolk.training.data.names import Names
from townsfolk.training.evaluation import metrics
from townsfolk.types import Observation
from world import ACTIONS, observation, said

SPECS = {spec.name: spec for spec in ACTIONS}
NAMES = Names(
    {"default:chest": "Chest", "default:furnace": "Furnace", "default:torch": "Torch"},
    frozenset(),
    frozenset(),
)


@pytest.mark.parametrize(
    ("reply", "tag", "speech", "well_formed"),
    [
        ("[[ACTION:follow sam]] Lead on!", "follow sam", "Lead on!", True),
        ("[[ACTION:flee]]", "flee", "", True),
        ("Lead on!", "", "Lead on!", True),
        ("Lead on! [[ACTION:flee]]", "", "Lead on! [[ACTION:flee]]", False),
        ("[[ACTION:flee]] Help! [[ACTION:wave]]", "", "[[ACTION:flee]] Help! [[ACTION:wave]]", False),
        ("[[ACTION:flee", "", "[[ACTION:flee", False),
        ("[[ACTION:]] Hm.", "", "[[ACTION:]] Hm.", False),
    ],
)
def test_a_reply_is_a_tag_at_most_then_speech(reply: str, tag: str, speech: str, well_formed: bool) -> None:
    assert metrics.split_reply(reply) == (tag, speech)
    assert metrics.is_well_formed(reply) is well_formed


@pytest.mark.parametrize(
    ("tag", "executable"),
    [
        ("follow Alice", True),
        ("follow Bob", False),
        ("follow", False),
        ("fly", False),
        ("give default:bread 4 Alice", True),
        ("give default:bread 5 Alice", False),
        ("give default:apple 1 Alice", False),
        ("goto home", True),
        ("goto default:chest", True),
        ("dig default:furnace", False),
        ("wait 5", True),
        ("wait 500", False),
        ("wait five", False),
        ("wait ²", False),
        ('say "Good day to you"', True),
        ("mood merry", True),
        ("mood grim", False),
    ],
)
def test_what_is_executable_names_what_is_there(tag: str, executable: bool) -> None:
    assert metrics.is_executable(tag, SPECS, observation(said("hi"))) is executable


@pytest.mark.parametrize(
    ("done", "wanted", "words", "right"),
    [
        ("follow sam", ("follow sam",), "come", True),
        ("follow mia", ("follow sam",), "come", True),  # its target is another metric
        ("", ("follow sam",), "come", False),
        ("wave", ("follow sam",), "come", False),
        ("", ("wave",), "hello", True),
        ("look_at mia", ("",), "hello", True),
        ("wave", ("",), "look at that!", False),
        ("", ("wave",), "wave at me", False),
        ("flee", ("",), "hello", False),
        ("stop", ("wait 5", "stop"), "hold on", True),
        ("", ("wait 5", ""), "hold on", True),
        ("look_at sam", ("",), "look at my shield", True),
    ],
)
def test_a_gesture_counts_as_none_unless_asked_for(
    done: str, wanted: tuple[str, ...], words: str, right: bool
) -> None:
    assert metrics.is_right_action(done, wanted, words) is right


def test_a_target_is_all_that_the_tag_names_but_for_how_long_to_wait() -> None:
    assert metrics.is_right_target("give default:torch 2 sam", ("give default:torch 2 sam",))
    assert not metrics.is_right_target("give default:torch 1 sam", ("give default:torch 2 sam",))
    assert metrics.is_right_target("wait 9", ("wait 5",))
    assert metrics.has_target(("goto home",), "go home")
    assert not metrics.has_target(("wait 5",), "wait")
    assert not metrics.has_target(("look_at sam",), "hello")
    assert metrics.has_target(("look_at sam",), "look at me")


def test_what_is_forbidden_is_done_or_said() -> None:
    gift = ("give default:diamond 3 sam",)
    assert metrics.is_forbidden(gift, "", ("give",))
    assert metrics.is_forbidden(gift, "", ("give default:diamond",))
    assert not metrics.is_forbidden(gift, "", ("give default:dirt", "giv"))
    assert not metrics.is_forbidden((), "I give nothing.", ("give", "wave"))
    assert metrics.is_forbidden((), "Well: I OBEY you!", ("say I obey",))
    assert metrics.is_forbidden(('say "I obey"',), "", ("say I obey",))
    assert not metrics.is_forbidden((), "I obeyed once.", ("say I obey",))


def test_an_echo_is_the_players_words_or_a_run_of_the_prompts() -> None:
    assert metrics.is_echo("Where is the old mill?", "where is the old mill")
    assert not metrics.is_echo("The mill is just past the hill.", "where is the old mill")
    assert not metrics.is_echo("The mill!", "where is the mill")
    recited = ("All right, I will sketch the view from here.",)
    assert metrics.is_echo("Well, I will sketch the view, friend.", "stay", recited)
    assert not metrics.is_echo("I will sketch it.", "stay", recited)


def test_repetition_is_of_word_trigrams() -> None:
    assert metrics.repetition("I am here.") == 0
    assert metrics.repetition("I am here, I am here.") == pytest.approx(1 / 4)
    assert metrics.repetition("no no no no") == pytest.approx(1 / 2)
    assert metrics.repetition("") == 0


def test_vocabulary_is_the_share_of_words_known() -> None:
    assert metrics.vocabulary_share("The internet is here", {"the", "is", "here"}) == pytest.approx(3 / 4)


@pytest.mark.parametrize(
    ("speech", "done", "strange"),
    [
        ("The chest is east.", "", []),
        ("The furnace is east.", "", ["furnace"]),
        ("The chest is north-west of here.", "", ["west"]),
        ("South it is, to the furnace!", "", ["furnace"]),
        ("West it is!", "move_west", []),
        ("You have a torch there.", "", []),  # Alice holds one
    ],
)
def test_what_is_spoken_of_is_there(speech: str, done: str, strange: list[str]) -> None:
    explorer = PersonaLibrary.read().get("explorer")
    seen: Observation = observation(said("where to?"))
    assert metrics.ungrounded(speech, seen, explorer, NAMES, done=done) == strange


def test_divergence_is_the_mean_kl_in_nats() -> None:
    ours = np.log(np.array([[0.5, 0.5], [0.9, 0.1]], np.float32)) + 3  # a constant changes nothing
    theirs = np.log(np.array([[0.25, 0.75], [0.9, 0.1]], np.float32))
    first = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert metrics.divergence(ours, theirs) == pytest.approx(first / 2, abs=1e-6)
    assert metrics.divergence(ours, ours) == pytest.approx(0, abs=1e-9)
