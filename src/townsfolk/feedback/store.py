"""The Store: what the service calls. Thread-safe; no write waits for the database.

`record_turn`, `record_outcomes`, `record_changes`, `record_game`, `remember` and `flag` return at once with a
future that is done when the rows are durable: a turn never waits for the disk. `rate`, `log`, `demonstrate`,
`decide_flag` and `record_adapter` return when they are durable, some milliseconds: call them off the event
loop.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from townsfolk.config import StoreSettings
from townsfolk.errors import StoreError, UnknownName
from townsfolk.feedback import rows
from townsfolk.feedback.applier import Applier
from townsfolk.feedback.database import Database
from townsfolk.feedback.intake import Intake
from townsfolk.feedback.models import TurnRow
from townsfolk.feedback.reads import Reads
from townsfolk.feedback.spool import Record, Spool
from townsfolk.types import (
    AdapterChange,
    AdapterVersion,
    AuditFlag,
    DemoBatch,
    FlagDecision,
    ForgetPlayer,
    Game,
    LogEntry,
    Memory,
    Message,
    Outcome,
    Rating,
    Turn,
)

log = logging.getLogger(__name__)

ACKNOWLEDGE_TIMEOUT_S = 10.0
POLL_S = 0.01


@dataclass(frozen=True)
class Stats:
    """Where the rows are, for the metrics; counts are of this run but for `spooled`."""

    spooled: int
    """Records that are durable but not in the database yet."""
    spool_bytes: int
    applied: int
    rejected: int
    """Refused by the database for their content and set aside in `rejected.jsonl`."""
    lost: int
    """Not even the spool had room for them."""
    last_error: str
    """Why the database takes no rows; empty: it does."""


class Store(Reads):
    """Made by `Store.open`. All that was acknowledged outlives a crash, with `close` or without."""

    def __init__(self, database: Database, spool: Spool, settings: StoreSettings) -> None:
        super().__init__(database)
        self._spool = spool
        self._applier = Applier(database, spool, settings.spool_dir / "rejected.jsonl", self._forget_pending)
        self._intake = Intake(spool, on_durable=self._applier.wake)
        self._pending_turns = _turns_in(spool)
        self._lost = 0

    @classmethod
    def open(cls, settings: StoreSettings) -> "Store":
        """Open the store, apply what an earlier run left in the spool, and start.

        A database that is away is no error: it is told in the log and in `stats`, and tried again.

        Raises:
            ConfigError: the URL names no database that can be used.
            StoreError: the spool's folder can't be used, or another process uses it.
        """
        store = cls(Database(settings.url), Spool(settings.spool_dir, settings.spool_max_bytes), settings)
        with suppress(StoreError):
            store._applier.catch_up()
        store._applier.start()  # tells in the log if that failed, and tries again
        store._intake.start()
        return store

    def close(self) -> None:
        """Make all writes durable, apply what the database takes, and let go of both."""
        self._intake.stop()
        self._applier.stop()
        self._database.close()
        self._spool.close()

    # --- writes that return at once ---

    def record_game(self, game: Game) -> "Future[None]":
        """A game has connected."""
        return self._submit([rows.to_payload(game, time.time())])

    def record_turn(self, turn: Turn) -> "Future[None]":
        """Keep a turn that has ended. A turn_id that is known already is ignored."""
        self._pending_turns[turn.turn_id] = turn.game_id
        return self._submit([rows.to_payload(turn, time.time())])

    def record_outcomes(self, game_id: str, outcomes: Iterable[Outcome]) -> "Future[None]":
        """What became of actions in the game; the turn itself may be recorded later."""
        now = time.time()
        return self._submit([rows.to_payload(outcome, now, game_id=game_id) for outcome in outcomes])

    def remember(self, memory: Memory) -> "Future[None]":
        """Replace what a villager remembers of a player."""
        return self._submit([rows.to_payload(memory, time.time())])

    def record_changes(self, changes: Iterable[AdapterChange]) -> "Future[None]":
        """What was decided about versions of adapters; those that are known already stay as they are."""
        return self._submit([rows.to_payload(change, time.time()) for change in changes])

    def flag(self, flag: AuditFlag) -> "Future[None]":
        """Keep something that a person should look at; what is flagged already stays as it is."""
        return self._submit([rows.to_payload(flag, time.time())])

    # --- writes that are acknowledged ---

    def rate(self, rating: Rating) -> None:
        """Keep a rating; the same player's earlier one of the same turn is replaced.

        Raises:
            UnknownName: no such turn.
            Forbidden: the turn is not of the game that the rating is for.
            StoreError: it can't be made durable.
        """
        game_id = self._game_of(rating.turn_id)
        if game_id is not None:
            rows.check_game(rating, game_id)
        self._acknowledge(rating)

    def log(self, *entries: LogEntry) -> None:
        """Keep signs of engagement."""
        self._acknowledge(*entries)

    def demonstrate(self, batch: DemoBatch) -> None:
        """Keep steps of a demonstration; one that is there already is ignored."""
        self._acknowledge(batch)

    def forget(self, player: ForgetPlayer) -> None:
        """Delete what was kept of a player from the tables, the spool and what was set aside.

        It is durable when this returns, and done when the database is there. What they do afterwards is kept
        anew, but no dataset has it (`forgotten`).
        """
        self.flush()  # else what waits for the disk would lie in the wish's own segment, which stays
        self._spool.roll()
        self._acknowledge(player)

    def decide_flag(self, decision: FlagDecision) -> None:
        """Keep what a person decided of a flag, and when.

        Raises:
            UnknownName: the database has no such flag.
            StoreError: the database is away, or it can't be made durable.
        """
        self.read_flag(decision.id)
        self._acknowledge(decision)

    def record_adapter(self, version: AdapterVersion) -> None:
        """Keep that an adapter serves."""
        self._acknowledge(version)

    def stats(self) -> Stats:
        applied_to = max(self._applier.position, self._spool.first - 1)
        return Stats(
            spooled=max(0, self._spool.last - applied_to),
            spool_bytes=self._spool.size_bytes,
            applied=self._applier.applied,
            rejected=self._applier.rejected,
            lost=self._lost,
            last_error=self._applier.last_error,
        )

    # --- waiting ---

    def flush(self, timeout_s: float = ACKNOWLEDGE_TIMEOUT_S) -> None:
        """Wait until all that was written so far is durable.

        Raises:
            StoreError: the disk does not take it in time.
        """
        _wait(self._submit([]), timeout_s)

    def drain(self, timeout_s: float = ACKNOWLEDGE_TIMEOUT_S) -> None:
        """Wait until all that was written so far is in the database.

        Raises:
            StoreError: the database does not take it in time.
        """
        self.flush(timeout_s)
        target, deadline = self._spool.last, time.monotonic() + timeout_s
        while self._applier.position < target:
            if time.monotonic() > deadline:
                reason = self._applier.last_error or "it is too slow"
                raise StoreError(f"the database has not taken all rows within {timeout_s:g} s: {reason}")
            time.sleep(POLL_S)

    def _acknowledge(self, *messages: Message) -> None:
        now = time.time()
        _wait(self._submit([rows.to_payload(message, now) for message in messages]), ACKNOWLEDGE_TIMEOUT_S)

    def _submit(self, payloads: Sequence[dict[str, Any]]) -> "Future[None]":
        future = self._intake.submit(payloads)
        future.add_done_callback(lambda done: self._note_loss(payloads, done))
        return future

    def _note_loss(self, payloads: Sequence[dict[str, Any]], done: "Future[None]") -> None:
        if (error := done.exception()) is not None:
            self._lost += len(payloads)
            self._no_longer_pending(payloads)
            log.error("%d row(s) are lost: %s", len(payloads), error)

    def _game_of(self, turn_id: str) -> str | None:
        """Looks first where a turn is first, so that one on its way to the database is not missed.

        None: with the database away it can't be known: a rating is taken, and judged when it is applied.

        Raises:
            UnknownName: no such turn.
        """
        pending = self._pending_turns.get(turn_id)
        if pending is not None:
            return pending
        with suppress(StoreError), self._database.transaction() as session:
            if turn := session.get(TurnRow, turn_id):
                return turn.game_id
            raise UnknownName(f"turn {turn_id!r} is not known: rate a turn_id that a decision carried")
        return None

    def _forget_pending(self, records: Sequence[Record]) -> None:
        self._no_longer_pending(record.payload for record in records)

    def _no_longer_pending(self, payloads: Iterable[dict[str, Any]]) -> None:
        for turn_id, _ in filter(None, map(rows.turn_of, payloads)):
            self._pending_turns.pop(turn_id, None)


def _turns_in(spool: Spool) -> dict[str, str]:
    """The turns that the spool holds, applied or not, and their games; the spool is left rewound."""
    turns: dict[str, str] = {}
    while batch := spool.read():
        turns.update(filter(None, (rows.turn_of(record.payload) for record in batch)))
    spool.rewind()
    return turns


def _wait(future: "Future[None]", timeout_s: float) -> None:
    try:
        future.result(timeout_s)
    except FutureTimeout as error:
        raise StoreError(
            f"the spool has not taken the write within {timeout_s:g} s: the disk is stuck"
        ) from error
