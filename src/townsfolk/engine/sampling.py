"""Chooses the next token of one row from its logits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from townsfolk.errors import InvalidRequest

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SamplingParams:
    """How a row's next token is chosen.

    Raises:
        InvalidRequest: a value breaks its rule.
    """

    temperature: float = 0.0
    """0: greedy, the likeliest token; else logits are divided by it."""
    top_p: float = 1.0
    """Only the likeliest tokens that together have this probability."""
    top_k: int = 0
    """Only this many of the likeliest tokens; 0: all."""
    repetition_penalty: float = 1.0
    """Logits of tokens that the reply has already are divided by it (multiplied where negative)."""
    seed: int | None = None
    """The same seed gives the same reply; None: another each time."""

    def __post_init__(self) -> None:
        rules = {
            "temperature": (0 <= self.temperature <= 10, "from 0 to 10"),
            "top_p": (0 < self.top_p <= 1, "over 0, at most 1"),
            "top_k": (self.top_k >= 0, "0 or more"),
            "repetition_penalty": (0.1 <= self.repetition_penalty <= 10, "from 0.1 to 10"),
            "seed": (self.seed is None or self.seed >= 0, "0 or more, or None"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise InvalidRequest(f"sampling.{name} is {getattr(self, name)}; must be {rule}")


GREEDY = SamplingParams()


def sample(logits: Logits, params: SamplingParams, reply: Sequence[int], random: np.random.Generator) -> int:
    """The next token, from logits [vocab] in which -inf marks what is forbidden.

    Args:
        reply: tokens generated so far, for the repetition penalty.
        random: the request's own generator, so that a seed gives the same reply in any batch.
    """
    if params.repetition_penalty != 1 and reply:
        logits = _penalise(logits, params.repetition_penalty, reply)
    if params.temperature == 0:
        return int(logits.argmax())
    tokens, probabilities = _candidates(logits, params)
    steps = probabilities.cumsum()
    drawn = np.searchsorted(steps[:-1], random.random() * steps[-1], side="right")
    return int(tokens[drawn])


def take_way(logits: Logits, fork: Sequence[int]) -> Logits:
    """Logits [vocab] with one of two ways on forbidden: the tokens `fork`, or all others."""
    chances = np.exp(logits - logits.max(), dtype=np.float64)
    own = np.zeros(len(logits), bool)
    own[list(fork)] = True
    taken = chances[own].sum() > chances[~own].sum()
    return np.where(own == taken, logits, -np.inf).astype(np.float32)


def _penalise(logits: Logits, penalty: float, reply: Sequence[int]) -> Logits:
    logits = logits.copy()
    seen = np.unique(np.asarray(reply))
    logits[seen] = np.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
    return logits


def _candidates(
    logits: Logits, params: SamplingParams
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Tokens that may be drawn, likeliest first, and their probabilities (up to a common factor)."""
    scaled = (logits - logits.max()) / params.temperature
    probabilities = np.exp(scaled, dtype=np.float64)
    probabilities /= probabilities.sum()
    # Tokens below this have less than 1 - top_p in all: top_p cuts them, so they needn't be sorted.
    kept = np.flatnonzero(probabilities > (1 - params.top_p) / len(logits))
    order = kept[np.argsort(-probabilities[kept], kind="stable")]
    if params.top_k:
        order = order[: params.top_k]
    before = probabilities[order].cumsum() - probabilities[order]
    nucleus = order[before < params.top_p * (probabilities[order].sum() if params.top_k else 1)]
    return nucleus, probabilities[nucleus]
