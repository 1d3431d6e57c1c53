"""What callers give the engine and get from it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from townsfolk.engine.constraint import Constraint
from townsfolk.engine.sampling import GREEDY, SamplingParams

Finish = Literal["stop", "length", "cancelled", "late", "error"]


@dataclass(frozen=True)
class GenerationRequest:
    """One reply to generate."""

    sequence_id: str
    """Whose KV cache it continues: requests of one sequence run one after the other."""
    prompt: list[int]
    """The whole prompt; what the sequence has in the KV cache already is not run again."""
    max_tokens: int
    adapter: str | None = None
    """Content hash of a loaded adapter; None: the base model alone."""
    sampling: SamplingParams = GREEDY
    constraint: Constraint | None = None
    stop_tokens: frozenset[int] = frozenset()
    """Any of these ends the reply and is not part of it."""
    priority: int = 0
    """Higher goes first."""
    deadline: float | None = None
    """`time.monotonic()` after which the reply is of no use: the rest of it is dropped."""


@dataclass(frozen=True)
class Timings:
    """Where a request's time went."""

    queue_ms: float
    prefill_ms: float
    decode_ms: float
    prompt_tokens: int
    cached_tokens: int  # of the prompt's, those not run because the KV cache had them


@dataclass(frozen=True)
class TokenEvent:
    """News of a request: tokens, its end, or both."""

    tokens: tuple[int, ...]
    """New ids, those that the constraint forced included."""
    finished: Finish | None = None
    error: str = ""
    """Why, when `finished` is "error"."""
    timings: Timings | None = None
    """With the last event."""


OnToken = Callable[[TokenEvent], None]
"""Called on the engine's thread: it must return at once and must not raise."""


@dataclass(frozen=True)
class Generation:
    """A whole reply."""

    tokens: list[int] = field(default_factory=list)
    finished: Finish = "stop"
    error: str = ""
    timings: Timings | None = None
