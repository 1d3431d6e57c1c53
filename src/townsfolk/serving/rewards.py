"""A reward model in service: replies scored by the engine that decodes them.

It refuses to know what a score decides: best of n and win rates are their callers'.
"""

from collections.abc import Sequence
from pathlib import Path

from townsfolk.engine import Engine
from townsfolk.types import RewardHead


class RewardModel:
    """Scores replies with an adapter of stage `reward`. Thread-safe; calls wait for passes of the engine."""

    def __init__(self, engine: Engine, adapter: str) -> None:
        """Args: adapter: content hash of a reward model that the engine holds."""
        self.adapter = adapter
        self._engine, self._head = engine, RewardHead.of(engine.tokenizer.encode)

    @classmethod
    def load(cls, engine: Engine, folder: Path, allowed_dirs: Sequence[Path]) -> "RewardModel":
        """The reward model in the PEFT folder `folder`. Raises AdapterError as `Engine.load_adapter`."""
        return cls(engine, engine.load_adapter(folder, allowed_dirs).content_hash)

    def score(self, prompt: Sequence[int], reply: Sequence[int]) -> float:
        """Log-odds of a thumb up for `reply`, its end of turn among its ids, as in a dataset's rows.

        What several replies to one prompt have in common is run once.

        Raises:
            AdapterError: the adapter was unloaded.
            InvalidRequest: prompt and reply are longer than the engine's context.
            ModelError: a pass failed.
        """
        logits = self._engine.score([*prompt, *reply], self.adapter, wanted=1)  # [1, vocab]
        return float(self._head(logits)[0])

    def best(self, prompt: Sequence[int], replies: Sequence[str]) -> int:
        """Index of the reply that scores highest, the first of equals; texts as they were decoded.

        Raises as `score`.
        """
        tokenizer = self._engine.tokenizer
        scores = [self.score(prompt, [*tokenizer.encode(reply), tokenizer.eos_id]) for reply in replies]
        return scores.index(max(scores))
