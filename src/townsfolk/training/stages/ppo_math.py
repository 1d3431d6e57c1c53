"""The numerics of PPO on replies: pure functions of tensors, and the controller of the KL coefficient.

It refuses to know models, what tokens mean, and files. Shapes: B replies, T tokens of the longest, V tokens
of the vocabulary; `mask` [B, T] is true at tokens of a reply, from its first on, and false after its end.

Sources
    PPO: Schulman et al. 2017, arXiv:1707.06347
    GAE: Schulman et al. 2016, arXiv:1506.02438
    penalty per token, adaptive coefficient: Ziegler et al. 2019, arXiv:1909.08593; Stiennon et al. 2020,
        arXiv:2009.01325
    clipped value loss: OpenAI baselines' ppo2; see Engstrom et al. 2020, arXiv:2005.12729
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


def token_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log probabilities [...], float32, of `tokens` [...] under `logits` [..., V]."""
    return logits.float().log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def token_entropy(logits: Tensor) -> Tensor:
    """Entropy in nats [...] of the distributions that `logits` [..., V] give."""
    log_probs = logits.float().log_softmax(-1)
    return -(log_probs.exp() * log_probs).sum(-1)


def token_kl(logits: Tensor, reference: Tensor) -> Tensor:
    """KL(policy || reference) in nats [...] at each token, both given as logits [..., V].

    Summed over the tokens of sampled replies it is an unbiased estimate of the KL of whole replies, of less
    variance than the sampled log ratios and never negative (Amini et al. 2025, arXiv:2504.10637).
    """
    log_probs, others = logits.float().log_softmax(-1), reference.float().log_softmax(-1)
    return (log_probs.exp() * (log_probs - others)).sum(-1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` [B, T] where `mask` [B, T] is true; 0 where it is nowhere."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """`values` [B, T] shifted and scaled to mean 0 and variance 1 over `mask`; 0 elsewhere."""
    centred = values - masked_mean(values, mask)
    scale = torch.rsqrt(masked_mean(centred.square(), mask) + 1e-8)
    return torch.where(mask, centred * scale, 0.0)


def token_rewards(
    scores: Tensor, log_probs: Tensor, reference: Tensor, mask: Tensor, coefficient: float
) -> Tensor:
    """Rewards [B, T]: at each token the penalty for leaving the reference, at the last one the score as well.

    r_t = -coefficient * (log pi(a_t) - log ref(a_t)), plus the score where t is the reply's last token.

    Args:
        scores: of whole replies [B].
        log_probs: of the sampled tokens under the policy that sampled them [B, T].
        reference: the same under the reference [B, T].
    """
    penalties = torch.where(mask, -coefficient * (log_probs - reference), 0.0)
    last = (mask.sum(1) - 1).unsqueeze(1)
    return penalties.scatter_add(1, last, scores.to(penalties).unsqueeze(1))


def advantages_and_returns(
    rewards: Tensor, values: Tensor, mask: Tensor, discount: float, decay: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation: (advantages, returns), both [B, T] and 0 outside `mask`.

    delta_t = r_t + discount * V_{t+1} - V_t and A_t = delta_t + discount * decay * A_{t+1}, where what
    follows a reply's last token is worth 0; returns are A_t + V_t, the targets of the value head.

    Args:
        rewards: of each token [B, T].
        values: V_t, what is expected from before token t on [B, T].
        discount: gamma; decay: lambda.
    """
    rewards, values = torch.where(mask, rewards, 0.0), torch.where(mask, values, 0.0)
    advantages = torch.zeros_like(values)
    next_advantage = next_value = torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + discount * next_value - values[:, t]
        next_advantage = torch.where(mask[:, t], delta + discount * decay * next_advantage, 0.0)
        next_value = values[:, t]
        advantages[:, t] = next_advantage
    return advantages, advantages + values


def policy_loss(
    log_probs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """PPO's clipped surrogate: (loss, share of tokens whose ratio the clip holds), both scalars.

    The gradient is 0 at a token whose ratio has already gone beyond 1 ± clip the way its advantage pushes.

    Args:
        log_probs: of the sampled tokens now [B, T], the only argument with a gradient.
        old: the same when they were sampled [B, T].
    """
    ratio = (log_probs - old).exp()
    plain, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip)
    held = (clipped > plain).float()
    return masked_mean(torch.maximum(plain, clipped), mask), masked_mean(held, mask)


def value_loss(values: Tensor, old: Tensor, returns: Tensor, mask: Tensor, clip: float) -> Tensor:
    """Half the squared error of `values` [B, T], the larger of plain and clipped to `old` ± clip; a scalar.

    The gradient is 0 at a value that has already moved by more than `clip` towards its return.
    """
    near = old + (values - old).clamp(-clip, clip)
    return 0.5 * masked_mean(torch.maximum((values - returns).square(), (near - returns).square()), mask)


def step_kl(log_probs: Tensor, old: Tensor, mask: Tensor) -> Tensor:
    """How far the policy has gone from the one that sampled, in nats a token; a scalar, never negative.

    The mean of ratio - 1 - log ratio (k3 of Schulman 2020, "Approximating KL divergence").
    """
    difference = torch.where(mask, log_probs - old, 0.0)
    return masked_mean(difference.exp() - 1 - difference, mask)


@dataclass(frozen=True)
class KlController:
    """Moves the KL coefficient so that replies stay about `target` nats from the reference (Ziegler et al.).

    The error is held within ±0.2, so that one noisy batch moves the coefficient by at most `gain` * 20 %.
    """

    target: float
    gain: float

    def next(self, coefficient: float, kl: float) -> float:
        """The coefficient for the next iteration, after one whose replies were `kl` nats away on average."""
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        return coefficient * (1 + self.gain * error)


def distinct_bigrams(replies: Sequence[Sequence[Hashable]]) -> float:
    """Share of different token pairs among all of `replies` (distinct-2, Li et al. 2016, arXiv:1510.03055).

    1: no pair comes twice. 0 where there is no pair, as in replies of one word: that too is a collapse.
    """
    pairs = [pair for reply in replies for pair in pairwise(reply)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def distinct_replies(replies: Sequence[Sequence[Hashable]]) -> float:
    """Share of different replies among `replies`."""
    return len({tuple(reply) for reply in replies}) / len(replies)
