"""What a run of the bench is told."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The command line, checked.

    Attributes:
        rounds: passes timed a row and contender.
        decisions: rounds of decisions timed a row; p99 wants a hundred.
        only: names of the rows to measure.
        activated: the village's adapters apply from the reply on (aLoRA).
    """

    model: Path
    threads: int
    rounds: int
    decisions: int
    swap_seconds: float
    peers: frozenset[str]
    only: frozenset[str]
    activated: bool
