"""What KTO and DPO do alike: how much likelier than for the parent two replies to a prompt have become.

    log ratio = log p(reply | prompt) - the same by the parent, in nats a reply

Rows are packed and have logits at their replies alone. The parent is what the adapter was at the beginning:
its side is computed once, before the first step. TRL's trainers of these pad rows and take all logits, which
a processor pays for with several times as long a step.

It refuses to know which reply is the better one: that is the loss of each stage.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch
import transformers
from rich.progress import track

from townsfolk.training.stages import trainers
from townsfolk.training.stages.config import DpoConfig, KtoConfig
from townsfolk.training.stages.packing import ATTENTION, pack, target_log_probs
from townsfolk.training.stages.run import Run
from townsfolk.training.stages.tokens import Ids, TokenRow


@dataclass(frozen=True)
class Example:
    """Two replies to one prompt.

    Attributes:
        row: with the first of them.
        other: the second.
        weight: how much it counts.
        by_parent: log probabilities of both by the parent, in nats; (): not computed yet.
    """

    row: TokenRow
    other: Ids
    weight: float
    by_parent: tuple[float, ...] = ()


class PreferenceTrainer(transformers.Trainer, ABC):  # type: ignore[misc]
    """A loss of log ratios, on packs of replies."""

    def __init__(
        self,
        model: Any,
        config: KtoConfig | DpoConfig,
        own: Run,
        examples: Sequence[Example],
        quiet: bool = False,
    ) -> None:
        self._opening: Ids = tuple(model.active_peft_config.alora_invocation_tokens or ())
        self._beta = config.beta
        self._noted: dict[str, list[float]] = defaultdict(list)
        model.get_base_model().set_attn_implementation(ATTENTION)
        super().__init__(
            model=model,
            args=trainers.arguments(config, own.checkpoints, transformers.TrainingArguments),
            data_collator=lambda batch: {"examples": batch},
            callbacks=[trainers.RunLog(own)],
        )
        self.train_dataset = self._beside_parent(examples, quiet)
        self.model_accepts_loss_kwargs = False  # the loss is a mean: the passes of one step are averaged

    @abstractmethod
    def losses(self, model: Any, examples: Sequence[Example]) -> Any:
        """Of each example, [examples], unweighted."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Weighted mean of the examples' losses."""
        examples: Sequence[Example] = inputs["examples"]
        losses = self.losses(model, examples)
        loss = (losses * losses.new_tensor([example.weight for example in examples])).mean()
        return (loss, None) if return_outputs else loss

    def rewards(self, model: Any, examples: Sequence[Example], *which: int) -> Any:
        """beta * log ratio of the replies `which` (0: the first, 1: the other), [which, examples]."""
        found = self._log_probs(model, examples, which)
        by_parent = found.new_tensor([[example.by_parent[n] for example in examples] for n in which])
        return self._beta * (found - by_parent)

    def note(self, **figures: Any) -> None:
        """Values for the log, where a figure is the mean of all since the last line."""
        for name, values in figures.items():
            self._noted[name] += values.detach().flatten().tolist()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """With what was noted; `rewards/margins` is by how much rewards of what is liked are the higher."""
        figures = {name: fmean(values) for name, values in self._noted.items() if values}
        self._noted.clear()
        liked, disliked = figures.pop("liked", None), figures.pop("disliked", None)
        if liked is not None and disliked is not None:
            figures["rewards/margins"] = liked - disliked
        super().log(logs | figures, start_time)

    def _log_probs(self, model: Any, examples: Sequence[Example], which: Sequence[int]) -> Any:
        """In nats, [which, examples]."""
        rows = [
            replace(example.row, reply=example.other) if n else example.row
            for n in which
            for example in examples
        ]
        own = pack(rows, self._opening).to(self.args.device)
        each = target_log_probs(model, own)
        return each.new_zeros(len(rows)).index_add(0, own.owner, each).view(len(which), -1)

    def _beside_parent(self, examples: Sequence[Example], quiet: bool) -> list[Example]:
        """The examples with the parent's log probabilities, which the adapter still has."""
        size = self.args.per_device_train_batch_size
        self.model.to(self.args.device).eval()
        found: list[Example] = []
        for start in track(range(0, len(examples), size), "what the parent would say", disable=quiet):
            batch = examples[start : start + size]
            with torch.no_grad():
                told = self._log_probs(self.model, batch, (0, 1)).T.tolist()
            found += [replace(example, by_parent=(*both,)) for example, both in zip(batch, told, strict=True)]
        return found
