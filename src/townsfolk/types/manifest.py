"""`manifest.json` beside an adapter: what it was made from, and how it did."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from townsfolk.types.base import Message, PersonaName, Text

Stage = Literal["sft", "bc", "reward", "kto", "dpo", "ppo", "grpo"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Manifest(Message):
    """One version of a persona's adapter: where it comes from."""

    persona: PersonaName
    stage: Stage
    adapter_hash: str
    """The adapter's content hash, as the engine computes it."""
    base: Text
    """`NAME@sha256:HASH` of the base model's file."""
    template_hash: Sha256
    """Of the chat template it was trained with."""
    parent: str = ""
    """Content hash of the adapter it was continued from; empty: from the base model."""
    reward_model: str = ""
    """Content hash of the adapter that judged the replies it learnt from; empty: none did."""
    dataset_hash: str
    rows: int = Field(ge=0)
    steps: int = Field(ge=0)
    seed: int
    settings: Mapping[str, str | int | float | bool | None] = {}
    """What the run was told, flat."""
    metrics: Mapping[str, float] = {}
    """Of the training: last losses, rewards, tokens a second."""
    created_at: float
    """Unix time in seconds."""
