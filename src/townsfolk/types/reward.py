"""The head of a reward model, which training and serving share.

There is no matrix of its own: the reward of a reply is how much likelier " good" is than " bad" right after
it, in nats, as rerankers and generative verifiers read a judgement off a language model (Nogueira et al.,
2020, arXiv:2003.06713; Zhang et al., 2024, arXiv:2408.15240). So a reward model is a LoRA adapter like any
other, and whatever gives logits can score with it.

It refuses to know who computes the logits: NumPy's arrays and torch's tensors are read alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

GOOD, BAD = " good", " bad"


@dataclass(frozen=True)
class RewardHead:
    """The two tokens of one vocabulary whose logits are compared."""

    good: int
    bad: int

    @classmethod
    def of(cls, encode: Callable[[str], Sequence[int]]) -> "RewardHead":
        """The head for the vocabulary of `encode`: the first tokens in which the two words differ."""
        good, bad = next(pair for pair in zip(encode(GOOD), encode(BAD), strict=False) if pair[0] != pair[1])
        return cls(good, bad)

    def __call__(self, logits: Any) -> Any:
        """Rewards [...] of `logits` [..., vocab], which follow the last token of each reply.

        A reward is the log-odds of a thumb up: 0 is even. The difference of two is the log-odds that the
        first reply is preferred (Bradley and Terry, 1952).
        """
        return logits[..., self.good] - logits[..., self.bad]
