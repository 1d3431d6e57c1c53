"""Prompts -> replies, sampled from the active adapter: one padded batch, a KV cache, ragged ends.

    | what all prompts begin with | padding, rest of prompt 1 | reply 1 ... |
    |  (one row, then repeated)   | padding, rest of prompt 2 | reply 2     |

A prompt is computed once for all its replies, and a row leaves the batch as soon as its reply has ended. It
refuses to know probabilities: what PPO needs of them comes from the passes that train, whose numerics are
theirs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor

from townsfolk.training.stages.tokens import Ids, TokenRow, common_length

Sampled = tuple[TokenRow, Ids]
"""A row, and a reply that was sampled to its prompt; the end token is missing where it was cut off."""


@dataclass(frozen=True)
class Sampling:
    """How replies are drawn.

    Attributes:
        end: the token that ends a reply.
        limit: tokens of a reply at most, its end among them.
        opening: tokens with which every prompt ends and that activate the adapter; (): it always applies.
    """

    end: int
    limit: int
    temperature: float = 1.0
    opening: Ids = ()


def sample_replies(
    model: Any, rows: Sequence[TokenRow], copies: int, sampling: Sampling, generator: Any
) -> list[Sampled]:
    """Replies to the rows' prompts, `copies` to the first, as many to the second, and so on.

    Args:
        model: a PEFT model.
        generator: torch's, on the model's device; the same draws the same replies.
    """
    with torch.no_grad(), padded_attention(model):
        decoding = _Decoding(model, [row.prompt for row in rows], copies, sampling)
        replies = decoding.run(generator)
    return [(rows[n // copies], reply) for n, reply in enumerate(replies)]


@contextmanager
def padded_attention(model: Any) -> Iterator[None]:
    """For a while, attention as transformers has it: packs have one of their own, without a KV cache."""
    base = model.get_base_model()
    usual = base.config._attn_implementation
    base.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        base.set_attn_implementation(usual)


class _Decoding:
    """A batch under way: B replies that go on, of which L tokens with their prompts are in the KV cache."""

    def __init__(self, model: Any, prompts: Sequence[Ids], copies: int, sampling: Sampling) -> None:
        self._model, self._sampling = model, sampling
        self._cache = transformers.DynamicCache()
        own = max(1, len(sampling.opening))
        shared = min(common_length(prompts), min(map(len, prompts)) - own)
        ids, self._mask = (tensor.to(model.device) for tensor in laid_out(prompts, shared))  # [B, L]
        if shared:
            self._pass(ids[:1, :shared], self._mask[:1, :shared], activated=None)
            self._cache.batch_repeat_interleave(len(prompts))
        self._logits = self._pass(ids[:, shared:], self._mask, activated=len(sampling.opening))  # [B, V]
        self._repeat(copies)
        self._replies: list[list[int]] = [[] for _ in range(len(prompts) * copies)]
        self._going = list(range(len(self._replies)))

    def _pass(self, ids: Tensor, mask: Tensor, activated: int | None) -> Tensor:
        """Logits [B, V] after the last of `ids` [B, new], `mask` [B, L] being that of all so far.

        Args:
            activated: how many of the last tokens an aLoRA applies to; None: none.
        """
        alora = {"alora_offsets": [activated] * len(ids)} if self._sampling.opening else {}
        out: Any = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1)[:, -ids.shape[1] :],
            past_key_values=self._cache,
            logits_to_keep=1,
            **alora,
        )
        return out.logits[:, -1].float()

    def _repeat(self, copies: int) -> None:
        self._cache.batch_repeat_interleave(copies)
        self._mask = self._mask.repeat_interleave(copies, 0)
        self._logits = self._logits.repeat_interleave(copies, 0)

    def run(self, generator: Any) -> list[Ids]:
        """All replies, in the order of the prompts."""
        while True:
            drawn = self._draw(generator)
            self._leave_ended(drawn)
            if not self._going or len(self._replies[self._going[0]]) == self._sampling.limit:
                return [tuple(reply) for reply in self._replies]
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], 1)
            last = drawn[drawn != self._sampling.end].unsqueeze(1)
            self._logits = self._pass(last, self._mask, activated=1)

    def _draw(self, generator: Any) -> Tensor:
        """One token [B] for each reply that goes on."""
        odds = (self._logits / self._sampling.temperature).softmax(-1)
        drawn = torch.multinomial(odds, 1, generator=generator).squeeze(1)
        for index, token in zip(self._going, drawn.tolist(), strict=True):
            self._replies[index].append(token)
        return drawn

    def _leave_ended(self, drawn: Tensor) -> None:
        rest = (drawn != self._sampling.end).nonzero().squeeze(1)
        if len(rest) < len(self._going):
            self._going = [self._going[n] for n in rest.tolist()]
            self._cache.batch_select_indices(rest)
            self._mask = self._mask[rest]


def laid_out(prompts: Sequence[Ids], shared: int) -> tuple[Tensor, Tensor]:
    """Prompts as (ids, mask), both [B, longest]: padding, masked by 0, follows the first `shared` tokens."""
    longest = max(map(len, prompts))
    pads = [longest - len(prompt) for prompt in prompts]
    ids = [(*it[:shared], *[0] * n, *it[shared:]) for it, n in zip(prompts, pads, strict=True)]
    mask = [(*[1] * shared, *[0] * n, *[1] * (longest - shared - n)) for n in pads]
    return torch.tensor(ids), torch.tensor(mask)
