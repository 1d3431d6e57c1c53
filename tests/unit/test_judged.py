"""Pairs and thumbs of judged rows."""

from dataclasses import replace

import pytest

from judged_rows import paired_rows, rated_rows
from townsfolk.errors import ConfigError
from townsfolk.training.stages.judged import is_up, pairs, rated, thumbs
from townsfolk.training.stages.reward import held_out_figures


def test_a_rejected_reply_makes_a_pair() -> None:
    rows = paired_rows(3)
    same = replace(rows[0], rejected=rows[0].reply)
    assert pairs([*rows, same]) == rows


def test_two_replies_to_one_prompt_make_a_pair_of_the_better_and_the_worse() -> None:
    up, down = rated_rows(2)[1], rated_rows(2)[0]
    down = replace(down, prompt=up.prompt, reward=-0.5, weight=0.5)
    (pair,) = pairs([down, up, *rated_rows(4, seed=1)])
    assert (pair.prompt, pair.reply, pair.rejected) == (up.prompt, up.reply, down.reply)
    assert pair.weight == pytest.approx(0.75 * 0.5)


def test_judgements_of_one_reply_are_averaged_and_equals_are_no_pair() -> None:
    up, down = rated_rows(2)[1], replace(rated_rows(2)[0], prompt=rated_rows(2)[1].prompt)
    assert pairs([up, replace(up, reward=-1.0), replace(down, reward=0.0)]) == []
    (pair,) = pairs([replace(up, reward=None), down])
    assert pair.reply == up.reply


def test_thumbs_are_of_both_kinds() -> None:
    rows = rated_rows(10)
    ups, downs = thumbs([*rows, replace(rows[0], reward=0.0), replace(rows[0], reward=None)])
    assert len(ups) == len(downs) == 5
    assert all(map(is_up, ups))
    assert not any(map(is_up, downs))
    with pytest.raises(ConfigError, match="5 thumbs up and 0 down among 5 rows"):
        thumbs([row for row in rows if is_up(row)])


def test_rows_of_reward_zero_say_nothing() -> None:
    rows = rated_rows(2)
    assert rated([replace(rows[0], reward=0.0), rows[1], *paired_rows(1)]) == [rows[1]]


def test_the_auc_is_of_thumbs_alone() -> None:
    """The gate judges it by their number; hints and broken rules would make it another figure."""
    thumbs_held_out = rated_rows(4)
    hints = [replace(row, reward=-row.reward, weight=0.5) for row in rated_rows(6) if row.reward]
    figures = held_out_figures(lambda texts: [row.reward or 0.0 for row, _ in texts], thumbs_held_out)
    wrong_for_hints = held_out_figures(
        lambda texts: [(row.reward or 0.0) * (1 if row.weight == 1 else -1) for row, _ in texts],
        [*thumbs_held_out, *hints],
    )
    assert wrong_for_hints == figures == {"auc": 1.0}
