"""What an operator sees and does in the console, over the rooms: implements `console.desk.Desk`."""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from townsfolk.agents import Session
from townsfolk.console.desk import (
    Activity,
    Answer,
    LiveVillager,
    PersonaAdapters,
    Version,
    VersionState,
    VillagerPast,
)
from townsfolk.errors import Unauthorized
from townsfolk.gateway.limits import RateLimit
from townsfolk.gateway.tokens import OwnToken, Scope, Tokens
from townsfolk.promotion.registry import EVALUATION, MANIFEST, SHORT, Record, standing
from townsfolk.serving.direct import DirectTurns
from townsfolk.serving.games import GameState
from townsfolk.serving.rooms import Rooms
from townsfolk.serving.village import Village
from townsfolk.types import (
    AdapterChange,
    AdapterFault,
    Flag,
    FlagDecision,
    FlagState,
    InferRequest,
    Manifest,
    PromoteAdapter,
    RollbackAdapter,
    Standing,
    Turn,
)

log = logging.getLogger(__name__)

TURNS_SHOWN = 50
ANSWER_WAIT_MS = 30_000
LOGINS, ALL_LOGINS, LOGINS_S = 10, 100, 300.0
"""Of one address and of all together, so many at once, and so many in any further 300 seconds."""


class OperatorDesk:
    """The village and its rooms as an operator has them before them. Blocking calls run on worker threads."""

    def __init__(self, rooms: Rooms, village: Village) -> None:
        self._rooms, self._village = rooms, village
        self._direct = DirectTurns(rooms)
        self._tokens = Tokens(rooms.settings)
        self._own_token = OwnToken(rooms.settings.console.token_file)
        if self._tokens.open:
            self._own_token.make()
            log.info("the token that opens the console is in %s", rooms.settings.console.token_file)
        self._logins = RateLimit(LOGINS / LOGINS_S, LOGINS_S, "logins to the console")
        self._all_logins = RateLimit(ALL_LOGINS / LOGINS_S, LOGINS_S, "logins to the console")

    def count_login(self, address: str) -> None:
        """Bounds those of one address, and somebody's who has many."""
        self._logins.take(f"address {address}")
        self._all_logins.take("everybody")

    def administrator(self, token: str) -> str:
        """Where the service asks for no token, the console does: an address is no person."""
        holder = self._tokens.holder(token)
        if self._tokens.open:
            holder = OwnToken.holder if self._own_token.equals(token) else None
        if holder is None or not holder.may(Scope.ADMIN):
            raise Unauthorized(
                "this is no token with the scope admin: use what the service's console.token_file has; where "
                "it has tokens, one of `townsfolk tokens add NAME --scope admin`, or its TOWNSFOLK_API_TOKEN"
            )
        return holder.name

    def readiness(self) -> tuple[bool, str]:
        return self._rooms.readiness()

    # --- villagers ------------------------------------------------------------------------------

    def villagers(self) -> Sequence[LiveVillager]:
        """Those that were seen since the service started."""
        found = [
            self._live(state, session)
            for state in self._village.games.values()
            for session in state.sessions.values()
        ]
        return sorted(found, key=lambda it: (it.game_id, it.name, it.villager_id))

    async def past(self, game_id: str, villager_id: str) -> VillagerPast:
        store = self._rooms.store
        turns = await asyncio.to_thread(store.recent_turns, game_id, villager_id, TURNS_SHOWN)
        return VillagerPast(turns, await asyncio.to_thread(store.memories_of, game_id, villager_id))

    def _live(self, state: GameState, session: Session) -> LiveVillager:
        me = session.view.me if session.view else None
        return LiveVillager(
            game_id=session.game_id,
            villager_id=session.villager_id,
            name=session.name,
            persona=session.persona,
            adapter=self._rooms.shelf.hash_of(session.persona, session.key) or "",
            activity=self._activity(state, session),
            position=me.position if me else None,
            hp=me.hp if me else 0,
            hp_max=me.hp_max if me else 0,
            doing=me.doing if me else "",
            said=session.said,
        )

    def _activity(self, state: GameState, session: Session) -> Activity:
        if self._rooms.policy.frozen_for(session.key, time.monotonic()):
            return "frozen"
        if session.villager_id in state.deciding:
            return "deciding"
        return "talking" if session.villager_id in state.turns else "idle"

    # --- review ---------------------------------------------------------------------------------

    async def flags(self, state: FlagState, before: float, limit: int) -> Sequence[Flag]:
        return await asyncio.to_thread(self._rooms.store.list_flags, state, limit, before)

    async def flag_counts(self) -> Mapping[str, int]:
        return await asyncio.to_thread(self._rooms.store.count_flags)

    async def flag(self, flag_id: str) -> Flag:
        return await asyncio.to_thread(self._rooms.store.read_flag, flag_id)

    async def turn(self, turn_id: str) -> Turn:
        return await asyncio.to_thread(self._rooms.store.read_turn, turn_id)

    async def decide(self, decision: FlagDecision) -> None:
        """Returns when the database has it, so that the next page shows it."""

        def kept() -> None:
            self._rooms.store.decide_flag(decision)
            self._rooms.store.drain()

        await asyncio.to_thread(kept)

    # --- adapters -------------------------------------------------------------------------------

    async def adapters(self) -> Sequence[PersonaAdapters]:
        return await asyncio.to_thread(lambda: list(self._adapters()))

    async def adapter_faults(self) -> Sequence[AdapterFault]:
        return (await self._village.adapters()).faults

    async def adapter_history(self, limit: int) -> Sequence[AdapterChange]:
        history = await asyncio.to_thread(self._rooms.promotions.registry.history)
        return history[: -limit - 1 : -1]

    async def promote(self, persona: str, version: str) -> Standing:
        return await self._village.promote_adapter(PromoteAdapter(name=persona, version=version))

    async def rollback(self, persona: str, reason: str) -> Standing:
        return await self._village.rollback_adapter(RollbackAdapter(name=persona, reason=reason))

    def _adapters(self) -> Iterator[PersonaAdapters]:
        registry = self._rooms.promotions.registry
        for name, persona in sorted(self._rooms.library.personas.items()):
            record = registry.record(name)
            versions = [self._version(name, version, record) for version in registry.versions(name)]
            yield PersonaAdapters(
                persona=name,
                title=persona.title,
                standing=standing(name, record),
                serves=self._rooms.shelf.live_hash(name) or "",
                versions=versions,
                can_roll_back=bool(record.trial or record.earlier),
            )

    def _version(self, persona: str, version: str, record: Record) -> Version:
        folder = self._rooms.promotions.registry.folder_of(persona, version)
        report = report_name(persona, version) if (folder / EVALUATION).is_file() else ""
        return Version(version, _state(version, record), _manifest(folder / MANIFEST), report)

    # --- reports, playground --------------------------------------------------------------------

    async def reports(self) -> Mapping[str, Path]:
        """Of what personas come with, of the registry's versions, and those in `console.reports_dir`."""
        return await asyncio.to_thread(lambda: dict(self._reports()))

    def personas(self) -> Mapping[str, bool]:
        shelf = self._rooms.shelf
        return {name: bool(any(shelf.openings(name))) for name in sorted(self._rooms.library.personas)}

    async def answer(self, persona: str, context: str, *, tuned: bool) -> Answer:
        """By the persona's adapter, or by the base model alone."""
        max_len = self._rooms.settings.agents.max_reply_tokens
        request = InferRequest(persona=persona, context=context, max_len=max_len, max_wait_ms=ANSWER_WAIT_MS)
        started, game = time.monotonic(), self._village.newest_game()
        reply, adapter = await self._direct.try_out(request, game, tuned=tuned)
        return Answer(persona, adapter or "", reply.text, reply.actions, time.monotonic() - started)

    def _reports(self) -> Iterator[tuple[str, Path]]:
        registry, library = self._rooms.promotions.registry, self._rooms.library
        for name in library.personas:
            if (file := library.folders[name] / EVALUATION).is_file():
                yield name, file
            for version in registry.versions(name):
                if (file := registry.folder_of(name, version) / EVALUATION).is_file():
                    yield report_name(name, version), file
        for file in self._rooms.settings.console.reports_dir.glob("*.json"):
            yield file.stem, file


def report_name(persona: str, version: str) -> str:
    """What the evaluation of a registry's version goes by."""
    return f"{persona}-{version[:SHORT]}"


def _state(version: str, record: Record) -> VersionState:
    if record.trial and record.trial.version == version:
        return "on trial"
    if record.live == version:
        return "live"
    return "earlier" if version in record.earlier else "kept"


def _manifest(file: Path) -> Manifest | None:
    """None: there is none, or none that can be read; the version can be served all the same."""
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
