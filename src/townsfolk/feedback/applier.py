"""Spool -> database: one thread that applies what is durable, exactly once and in order.

How far it came stands in the database, in the transaction of the rows themselves, so neither a
crash nor a lost connection applies a record twice. While the database is away it tries again, ever
slower up to `MAX_DELAY_S`. A record that the database refuses for its content is set aside in
`rejected.jsonl`, with the reason, so that it can't hold up the others.
"""

import json
import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.exc import DataError, IntegrityError

from townsfolk.disk import drop_lines
from townsfolk.errors import Forbidden, StoreError
from townsfolk.feedback import rows
from townsfolk.feedback.database import Database
from townsfolk.feedback.models import Spool as SpoolRow
from townsfolk.feedback.spool import Record, Spool
from townsfolk.types import ForgetPlayer

log = logging.getLogger(__name__)

MIN_DELAY_S = 0.1
MAX_DELAY_S = 5.0

# A row's own fault: a constraint refuses it, or this version can't read it. Trying again would not help.
ROW_FAULTS = (IntegrityError, DataError, ValueError, KeyError, OverflowError, Forbidden)


class Applier:
    """Applies `spool` to `database`; `on_applied` is called with each group of records that is done with."""

    def __init__(
        self, database: Database, spool: Spool, rejects: Path, on_applied: Callable[[Sequence[Record]], None]
    ) -> None:
        self._database, self._spool, self._rejects = database, spool, rejects
        self._on_applied = on_applied
        self._connected = False
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="townsfolk-applier", daemon=True)
        self.position, self.applied, self.rejected = 0, 0, 0
        self.last_error = ""

    def start(self) -> None:
        self._wake.set()
        self._thread.start()

    def wake(self) -> None:
        """There are new records."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread after a last attempt; what the database does not take stays in the spool."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
        with suppress(StoreError):
            self.catch_up()

    def catch_up(self) -> None:
        """Apply all that is durable now.

        Raises:
            StoreError: the database is away; what is not applied stays in the spool.
        """
        try:
            self._apply_all()
        except (StoreError, OSError) as error:
            self._connected = False  # whether a broken commit came through is asked for anew
            self._database.forget_connections()
            self.last_error = str(error)
            raise StoreError(self.last_error) from error
        self.last_error = ""

    def _apply_all(self) -> None:
        if not self._connected:
            self.position = self._connect()
            self._connected = True
        while batch := self._spool.read():
            self._apply([record for record in batch if record.seq > self.position])
            self._on_applied(batch)
            for gone in filter(None, (rows.forgotten_by(record.payload) for record in batch)):
                self._clear_rejects(gone)
        self._spool.discard(self.position)

    def _run(self) -> None:
        delay = 0.0
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            delay = self._attempt(delay)
            if delay:
                self._stop.wait(delay)
                self._wake.set()

    def _attempt(self, delay: float) -> float:
        """Seconds to wait before the next attempt: 0 after a success, else longer than `delay`."""
        try:
            self.catch_up()
        except StoreError as error:
            if not delay:
                log.error("rows are kept in the spool: %s", error)
            return min(max(2 * delay, MIN_DELAY_S), MAX_DELAY_S)
        if delay:
            log.warning("database %s is back: the spool has been applied", self._database.name)
        return 0.0

    def _connect(self) -> int:
        """Bring the schema up to date; how far this spool has been applied."""
        self._database.migrate()
        self._spool.rewind()
        with self._database.transaction() as session:
            row = session.get(SpoolRow, self._spool.spool_id)
            if row is None:
                session.add(SpoolRow(spool_id=self._spool.spool_id, applied=0))
            return row.applied if row else 0

    def _apply(self, records: Sequence[Record]) -> None:
        if not records:
            return
        try:
            self._commit(records, records[-1].seq)
        except ROW_FAULTS:
            for record in records:
                self._apply_alone(record)

    def _apply_alone(self, record: Record) -> None:
        try:
            self._commit([record], record.seq)
        except ROW_FAULTS as fault:
            self._set_aside(record, fault)
            self._commit([], record.seq)

    def _commit(self, records: Sequence[Record], position: int) -> None:
        with self._database.transaction() as session:
            # First, to take the write lock: SQLite lets a writer wait for it, but not a reader turned writer.
            moved = session.scalar(
                update(SpoolRow)
                .where(SpoolRow.spool_id == self._spool.spool_id, SpoolRow.applied == self.position)
                .values(applied=position)
                .returning(SpoolRow.spool_id)
            )
            if moved is None:
                raise StoreError(
                    "a commit that was given up came through all the same: the position is asked anew"
                )
            for record in records:
                rows.apply(session, record.payload)
                session.flush()
        self.position = position
        self.applied += len(records)

    def _clear_rejects(self, gone: ForgetPlayer) -> None:
        """Who is forgotten leaves what was set aside, too."""
        if self._rejects.exists():
            drop_lines(self._rejects, lambda told: rows.is_of(told, gone))

    def _set_aside(self, record: Record, fault: Exception) -> None:
        log.error("record %d is refused and set aside in %s: %s", record.seq, self._rejects, fault)
        with self._rejects.open("a", encoding="ascii") as file:
            file.write(json.dumps({"reason": str(fault), **record.payload}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rejected += 1
