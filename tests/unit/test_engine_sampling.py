"""Choosing a token: each parameter does what its name says."""

import numpy as np
import pytest

from townsfolk.engine.sampling import GREEDY, SamplingParams, sample, take_way
from townsfolk.errors import InvalidRequest

LOGITS = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))


def draw(params: SamplingParams, logits: np.ndarray = LOGITS, times: int = 2_000) -> np.ndarray:
    """Share of each token in many draws."""
    random = np.random.default_rng(1)
    drawn = [sample(logits, params, [], random) for _ in range(times)]
    return np.bincount(drawn, minlength=len(logits)) / times


def test_greedy_takes_the_likeliest() -> None:
    assert sample(LOGITS, GREEDY, [], np.random.default_rng()) == 0


def test_temperature_one_follows_the_distribution() -> None:
    np.testing.assert_allclose(draw(SamplingParams(temperature=1)), np.exp(LOGITS), atol=0.04)


def test_low_temperature_sharpens() -> None:
    assert draw(SamplingParams(temperature=0.3))[0] > 0.75


@pytest.mark.parametrize(("top_p", "tokens"), [(0.4, 1), (0.5, 1), (0.79, 2), (0.9, 3), (1.0, 4)])
def test_top_p_keeps_the_smallest_set_that_reaches_it(top_p: float, tokens: int) -> None:
    shares = draw(SamplingParams(temperature=1, top_p=top_p))
    assert np.count_nonzero(shares) == tokens


def test_top_k_keeps_k() -> None:
    assert np.count_nonzero(draw(SamplingParams(temperature=1, top_k=2))) == 2


def test_forbidden_tokens_are_never_drawn() -> None:
    masked = np.array([-np.inf, 0, -np.inf, 0], np.float32)
    assert np.flatnonzero(draw(SamplingParams(temperature=1, top_p=0.95), masked)).tolist() == [1, 3]


def test_repetition_penalty_lowers_what_was_said() -> None:
    params = SamplingParams(repetition_penalty=2)
    assert sample(np.array([4, 3], np.float32), params, [0], np.random.default_rng()) == 1
    assert sample(np.array([-1, -1.5], np.float32), params, [0], np.random.default_rng()) == 1


def test_a_seed_repeats_the_draws() -> None:
    params = SamplingParams(temperature=1)
    first, second = (
        [sample(LOGITS, params, [], random) for _ in range(20)]
        for random in (np.random.default_rng(3), np.random.default_rng(3))
    )
    assert first == second


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_k": -1},
        {"repetition_penalty": 0},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(wrong))):
        SamplingParams(**wrong)  # type: ignore[arg-type]


def test_at_a_fork_the_way_with_more_than_half_of_the_probability_is_taken() -> None:
    logits = np.log(np.array([0.4, 0.3, 0.3, 1e-9], np.float32))
    assert np.isfinite(take_way(logits, [0])).tolist() == [False, True, True, True]
    assert np.isfinite(take_way(logits, [0, 3])).tolist() == [False, True, True, False]
    assert np.isfinite(take_way(logits, [1, 2])).tolist() == [False, True, True, False]
