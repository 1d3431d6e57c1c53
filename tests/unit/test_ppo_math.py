"""PPO's numerics against tensors worked out by hand."""

import math

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import Tensor

from townsfolk.training.stages import ppo_math
from townsfolk.training.stages.ppo_math import KlController

BOTH = torch.tensor([[True, True, True], [True, True, False]])


def close(actual: Tensor, expected: object) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_log_probs_entropy_and_kl_of_two_tokens() -> None:
    logits = torch.tensor([[[math.log(3.0), 0.0]]])  # 3/4, 1/4
    even = torch.zeros(1, 1, 2)
    close(ppo_math.token_log_probs(logits, torch.tensor([[1]])), [[math.log(0.25)]])
    close(ppo_math.token_entropy(even), [[math.log(2)]])
    close(ppo_math.token_kl(logits, even), [[0.75 * math.log(1.5) + 0.25 * math.log(0.5)]])
    close(ppo_math.token_kl(logits, logits + 7), [[0.0]])


def test_log_probs_are_float32_whatever_the_model_computes_in() -> None:
    logits = torch.zeros(1, 1, 2, dtype=torch.bfloat16)
    assert ppo_math.token_log_probs(logits, torch.tensor([[0]])).dtype == torch.float32


def test_a_masked_mean_takes_no_notice_of_the_rest() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0], [6.0, 8.0, math.nan]])
    close(ppo_math.masked_mean(values, BOTH), 4.0)
    close(ppo_math.masked_mean(values, torch.zeros_like(BOTH)), 0.0)


def test_whitened_values_have_mean_0_and_variance_1() -> None:
    whitened = ppo_math.whiten(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 99.0]]), BOTH)
    half = 1 / math.sqrt(2)  # the standard deviation of 1 to 5 is the root of 2
    close(whitened, [[-2 * half, -half, 0.0], [half, 2 * half, 0.0]])


def test_whitening_equal_values_gives_zeros() -> None:
    close(ppo_math.whiten(torch.full((2, 3), 5.0), BOTH), [[0.0] * 3] * 2)


def test_the_score_comes_at_the_last_token_and_the_penalty_at_each() -> None:
    log_probs = torch.tensor([[-1.0, -1.0, -1.0], [-2.0, -2.0, -9.0]])
    reference = torch.tensor([[-2.0, -1.0, -1.0], [-2.0, -1.0, -1.0]])
    rewards = ppo_math.token_rewards(torch.tensor([1.0, -1.0]), log_probs, reference, BOTH, coefficient=0.1)
    close(rewards, [[-0.1, 0.0, 1.0], [0.0, 0.1 - 1.0, 0.0]])


def test_advantages_by_hand() -> None:
    rewards = torch.tensor([[0.0, 0.0, 1.0], [1.0, 2.0, 50.0]])
    values = torch.tensor([[0.5, 0.4, 0.2], [1.0, 1.0, 50.0]])
    advantages, returns = ppo_math.advantages_and_returns(rewards, values, BOTH, discount=0.9, decay=0.5)
    # first: deltas 0.9 * 0.4 - 0.5 = -0.14, 0.9 * 0.2 - 0.4 = -0.22, 1 - 0.2 = 0.8; plus 0.45 of the next
    first = [-0.14 + 0.45 * (-0.22 + 0.45 * 0.8), -0.22 + 0.45 * 0.8, 0.8]
    # second: deltas 1 + 0.9 - 1 = 0.9 and 2 - 1 = 1; what is behind its end counts for nothing
    second = [0.9 + 0.45 * 1.0, 1.0, 0.0]
    close(advantages, [first, second])
    close(returns, [[first[0] + 0.5, first[1] + 0.4, 1.0], [second[0] + 1, 2.0, 0.0]])


def test_without_decay_the_returns_are_the_discounted_rewards() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    _, returns = ppo_math.advantages_and_returns(
        rewards, torch.tensor([[3.0, 5.0, 7.0]]), mask, discount=0.5, decay=1
    )
    close(returns, [[1 + 1 + 1, 2 + 2, 4.0]])


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "has_gradient"),
    [
        (1.5, 1.0, -1.2, False),  # up already, and pushed up
        (0.5, 1.0, -0.5, True),  # down, pushed up: back inside
        (0.5, -1.0, 0.8, False),  # down already, and pushed down
        (1.5, -1.0, 1.5, True),  # up, pushed down: back inside
        (1.1, 1.0, -1.1, True),
        (0.9, -1.0, 0.9, True),
    ],
)
def test_the_policy_loss_clips_both_ways(
    ratio: float, advantage: float, loss: float, has_gradient: bool
) -> None:
    log_probs = torch.tensor([[math.log(ratio)]], requires_grad=True)
    mask = torch.ones(1, 1, dtype=torch.bool)
    actual, held = ppo_math.policy_loss(
        log_probs, torch.zeros(1, 1), torch.tensor([[advantage]]), mask, clip=0.2
    )
    actual.backward()
    close(actual.detach(), loss)
    close(held, 0.0 if has_gradient else 1.0)
    assert log_probs.grad is not None
    close(log_probs.grad, [[-advantage * ratio if has_gradient else 0.0]])


def test_at_a_ratio_of_1_the_gradient_is_the_policy_gradient() -> None:
    log_probs = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0]], requires_grad=True)
    advantages = torch.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, 1e9]])
    loss, _ = ppo_math.policy_loss(log_probs, log_probs.detach(), advantages, BOTH, clip=0.2)
    loss.backward()
    assert log_probs.grad is not None
    close(log_probs.grad, [[-0.2, 0.4, -0.6], [-0.8, -1.0, 0.0]])


@pytest.mark.parametrize(
    ("value", "error", "has_gradient"),
    [
        (0.9, 0.8, False),  # has gone 0.9 towards its return of 1: seen as gone 0.2
        (-0.9, 1.9, True),  # has gone away from it: seen as it is
        (0.1, 0.9, True),
    ],
)
def test_the_value_loss_is_the_larger_of_plain_and_clipped(
    value: float, error: float, has_gradient: bool
) -> None:
    values = torch.tensor([[value]], requires_grad=True)
    mask = torch.ones(1, 1, dtype=torch.bool)
    loss = ppo_math.value_loss(values, torch.zeros(1, 1), torch.ones(1, 1), mask, clip=0.2)
    loss.backward()
    close(loss.detach(), 0.5 * error**2)
    assert values.grad is not None
    close(values.grad, [[value - 1 if has_gradient else 0.0]])


def test_no_loss_and_no_gradient_behind_the_end() -> None:
    values = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 9.0]], requires_grad=True)
    loss = ppo_math.value_loss(values, torch.zeros(2, 3), torch.full((2, 3), 0.1), BOTH, clip=0.2)
    loss.backward()
    close(loss.detach(), 0.005)
    assert values.grad is not None
    close(values.grad[1, 2], 0.0)


def test_the_step_kl_is_never_negative_and_0_where_nothing_moved() -> None:
    old = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0]])
    close(ppo_math.step_kl(old, old, BOTH), 0.0)
    for moved in (0.3, -0.3):
        close(ppo_math.step_kl(old + moved, old, BOTH), math.exp(moved) - 1 - moved)


def test_the_kl_coefficient_rises_above_the_target_and_falls_below() -> None:
    controller = KlController(target=4.0, gain=0.5)
    assert controller.next(0.1, kl=4.0) == pytest.approx(0.1)
    assert controller.next(0.1, kl=4.4) == pytest.approx(0.1 * 1.05)
    assert controller.next(0.1, kl=3.6) == pytest.approx(0.1 * 0.95)


def test_one_batch_moves_the_kl_coefficient_by_little() -> None:
    controller = KlController(target=4.0, gain=0.5)
    assert controller.next(0.1, kl=400.0) == pytest.approx(0.11)
    assert controller.next(0.1, kl=0.0) == pytest.approx(0.09)


def test_distinct_shares() -> None:
    assert ppo_math.distinct_bigrams([[1, 2, 3], [1, 2, 4]]) == pytest.approx(3 / 4)
    assert ppo_math.distinct_bigrams([[1, 2], [1, 2], [1, 2], [1, 2]]) == pytest.approx(1 / 4)
    assert ppo_math.distinct_bigrams([[1], [2]]) == 0
    assert ppo_math.distinct_replies([[1, 2], [1, 2], [1], [3]]) == pytest.approx(3 / 4)
