"""Sampled replies -> what PPO learns from: probabilities, values, distances, and the rewards of judges.

All numbers come from packed passes as the training passes are, of the same rows in each pack: so the ratio of
a policy to itself is 1 to the last bit. It refuses to know what is done with them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from townsfolk.training.stages.packing import Pack
from townsfolk.training.stages.ppo_math import token_entropy, token_kl, token_log_probs
from townsfolk.training.stages.ppo_rollout import Sampled
from townsfolk.training.stages.ppo_trunk import REFERENCE, Trunk
from townsfolk.training.stages.tokens import Ids

Judge = Callable[[Sequence[Sampled]], Sequence[float]]
"""Rewards of sampled replies, one each; the larger the better."""


@dataclass(frozen=True)
class Experience:
    """B replies of at most T tokens; numbers outside `mask` are 0, and none has a gradient.

    Attributes:
        batches: what goes through the trunk at once, and which of the B replies it is.
        mask: [B, T] where there are tokens.
        log_probs, reference: [B, T] of the sampled tokens, under the policy that sampled and the reference.
        values: [B, T] what was expected before each token.
        kl, entropy: [B, T] in nats, of the policy before each token, to the reference and its own.
    """

    batches: Sequence[tuple[Pack, slice]]
    mask: Tensor
    log_probs: Tensor
    reference: Tensor
    values: Tensor
    kl: Tensor
    entropy: Tensor


def look_at(trunk: Trunk, sampled: Sequence[Sampled], batch_size: int) -> Experience:
    """Pass sampled replies through policy and reference, `batch_size` at once."""
    rows = [replace(row, reply=reply) for row, reply in sampled]
    starts = range(0, len(rows), batch_size)
    batches = [(trunk.pack(rows[n : n + batch_size]), slice(n, n + batch_size)) for n in starts]
    parts = [_numbers(trunk, pack) for pack, _ in batches]
    mask = reply_mask([reply for _, reply in sampled]).to(trunk.model.device)
    return Experience(batches, mask, *(padded(torch.cat(flat), mask) for flat in zip(*parts, strict=True)))


def _numbers(trunk: Trunk, pack: Pack) -> tuple[Tensor, ...]:
    """[targets] each, in the order of Experience."""
    with trunk.using(REFERENCE):
        reference, _ = trunk.forward(pack)
    with torch.no_grad():
        logits, values = trunk.forward(pack)
    chosen = (token_log_probs(it, pack.targets) for it in (logits, reference))
    return *chosen, values, token_kl(logits, reference), token_entropy(logits)


def reply_mask(replies: Sequence[Ids]) -> Tensor:
    """[B, T] true where replies have tokens."""
    lengths = torch.tensor([len(reply) for reply in replies])
    return torch.arange(int(lengths.max())) < lengths.unsqueeze(1)


def padded(flat: Tensor, mask: Tensor) -> Tensor:
    """Numbers of all replies' tokens, one reply after another, as [B, T]; 0 outside `mask`."""
    return torch.zeros(mask.shape, device=flat.device).masked_scatter(mask, flat)
