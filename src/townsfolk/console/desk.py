"""What the console asks of the rest: one method per thing an operator sees or does. Implemented by serving/.

Methods raise the errors of `townsfolk.errors`; the console shows their text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol

from fastapi import Depends, Request

from townsfolk.types import (
    AdapterChange,
    AdapterFault,
    Flag,
    FlagDecision,
    FlagState,
    Manifest,
    Memory,
    Position,
    Standing,
    Turn,
)

Activity = Literal["idle", "deciding", "talking", "frozen"]
VersionState = Literal["live", "on trial", "earlier", "kept"]


@dataclass(frozen=True)
class LiveVillager:
    """A villager of a connected game, as the service knows it now.

    Attributes:
        adapter: content hash of what it is served with; empty: the base model alone.
        said: its last reply, tags included; empty: it had none.
    """

    game_id: str
    villager_id: str
    name: str
    persona: str
    adapter: str
    activity: Activity
    position: Position | None = None
    hp: float = 0
    hp_max: float = 0
    doing: str = ""
    said: str = ""


@dataclass(frozen=True)
class VillagerPast:
    """What the store has of a villager: its last turns, oldest first, and whom it remembers."""

    turns: Sequence[Turn]
    memories: Sequence[Memory]


@dataclass(frozen=True)
class Version:
    """A version of a persona's adapter that can be promoted.

    Attributes:
        report: name of its evaluation among the reports; empty: it has none.
    """

    content_hash: str
    state: VersionState
    manifest: Manifest | None = None
    report: str = ""


@dataclass(frozen=True)
class PersonaAdapters:
    """What a persona is served with, and what it could be.

    Attributes:
        versions: the latest first.
        serves: content hash of what serves where nothing is on trial; empty: the base model alone.
        can_roll_back: there is a trial to end, or a version before.
    """

    persona: str
    title: str
    standing: Standing
    serves: str
    versions: Sequence[Version]
    can_roll_back: bool


@dataclass(frozen=True)
class Answer:
    """What a persona says to a context in the playground; nothing of it is kept.

    Attributes:
        adapter: content hash; empty: the base model alone.
    """

    persona: str
    adapter: str
    text: str
    actions: Sequence[str]
    seconds: float


class Desk(Protocol):
    """What an operator can see and do."""

    def count_login(self, address: str) -> None:
        """Somebody at `address` tries to log in. Raises TooOften: that, or anybody, has tried too often."""

    def administrator(self, token: str) -> str:
        """The name of the token. Raises Unauthorized: it is none with the scope `admin`."""

    def readiness(self) -> tuple[bool, str]:
        """Whether turns can be served, and why not."""

    def villagers(self) -> Sequence[LiveVillager]:
        """All that games have told of, by game and name."""

    async def past(self, game_id: str, villager_id: str) -> VillagerPast:
        """Raises StoreError."""

    async def flags(self, state: FlagState, before: float, limit: int) -> Sequence[Flag]:
        """Flags raised before a Unix time, the latest first. Raises StoreError."""

    async def flag_counts(self) -> Mapping[str, int]:
        """How many flags there are, by state. Raises StoreError."""

    async def flag(self, flag_id: str) -> Flag:
        """Raises UnknownName, StoreError."""

    async def turn(self, turn_id: str) -> Turn:
        """Raises UnknownName: it was forgotten. Raises StoreError."""

    async def decide(self, decision: FlagDecision) -> None:
        """Keep what was decided; `flag` tells it when this returns. Raises UnknownName, StoreError."""

    async def adapters(self) -> Sequence[PersonaAdapters]:
        """By persona. Raises AdapterError: the registry can't be read."""

    async def adapter_faults(self) -> Sequence[AdapterFault]:
        """Adapters that can't be served, and why."""

    async def adapter_history(self, limit: int) -> Sequence[AdapterChange]:
        """What was decided about versions, the latest first."""

    async def promote(self, persona: str, version: str) -> Standing:
        """Serve the persona with a version of the registry. Raises UnknownName, AdapterError."""

    async def rollback(self, persona: str, reason: str) -> Standing:
        """End the trial, or serve the version before. Raises UnknownName, InvalidRequest."""

    async def reports(self) -> Mapping[str, Path]:
        """Name -> file of `townsfolk eval --json`."""

    def personas(self) -> Mapping[str, bool]:
        """Name -> whether it has an adapter."""

    async def answer(self, persona: str, context: str, *, tuned: bool) -> Answer:
        """One reply that is kept nowhere. Raises UnknownName, Busy, DeadlineExceeded."""


def _desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(_desk_of)]
"""The desk, for a page that names it among its parameters."""
