"""What a reply is worth by its text alone."""

import pytest

from townsfolk.training.stages.text_rewards import (
    MOST_WORDS,
    Answer,
    length,
    no_echo,
    right_action,
    well_formed,
)

WANTED = "[[ACTION:give default:apple 2 sam]] Here you are, two apples."


@pytest.mark.parametrize(
    ("reply", "worth"),
    [
        (WANTED, 1),
        ("No apples today.", 1),
        ("Here you are [[ACTION:give default:apple 2 sam]]", 0),
        ("[[ACTION:give default:apple", 0),
    ],
)
def test_a_tag_stands_first_and_is_whole(reply: str, worth: float) -> None:
    assert well_formed(Answer(reply, WANTED)) == worth


@pytest.mark.parametrize(
    ("reply", "worth"),
    [
        ("[[ACTION:give default:apple 2 sam]] Take them!", 1),
        ("[[ACTION:give default:stone 2 sam]] Take them!", 0.5),
        ("[[ACTION:follow sam]] I come along.", 0),
        ("Take them!", 0),
    ],
)
def test_the_action_of_the_row_is_right(reply: str, worth: float) -> None:
    assert right_action(Answer(reply, WANTED, "give me two apples")) == worth


def test_what_was_disliked_is_no_model_for_the_action() -> None:
    assert right_action(Answer(WANTED, WANTED, to_imitate=False)) == 0


def test_words_of_the_player_are_no_answer() -> None:
    said = "where is the nearest well"
    assert no_echo(Answer("Where is the nearest well?", "It is north of here.", said)) == 0
    assert no_echo(Answer("North, behind the old oak.", "It is north of here.", said)) == 1


def test_something_is_said_and_not_too_much() -> None:
    assert length(Answer("A good day to you.", WANTED)) == 1
    assert length(Answer("[[ACTION:wave]]", WANTED)) == 0
    assert length(Answer("word " * 2 * MOST_WORDS, WANTED)) == 0.5
    blow = "[[ACTION:flee sam]]"
    assert (length(Answer(blow, blow)), length(Answer(f"{blow} Help!", blow))) == (1, 0)
