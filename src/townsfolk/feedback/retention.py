"""Rows that are older than `store.keep_days` -> gone, in portions, so that the service can write between.

What goes: turns with their actions, ratings and decided flags, signs of engagement, demonstrations, and what
a game told of turns that never came or went before. What stays: memories, versions of adapters, who wishes to
be forgotten, and each turn that a flag still waits for.
"""

from collections.abc import Sequence

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import InstrumentedAttribute

from townsfolk.feedback.database import Database
from townsfolk.feedback.models import ActionRow, DemoRow, EngagementRow, FlagRow, RatingRow, TurnRow

DAY_S = 86_400
PORTION = 500


def prune(database: Database, before: float) -> int:
    """Delete what is older than the Unix time `before`; gives how many turns, signs and shown steps.

    Raises:
        StoreError: the database is away, or locked for too long; what went is gone.
    """
    of_turns = _in_portions(database, _old_turns(before), TurnRow.turn_id, (RatingRow, ActionRow, FlagRow))
    signs = select(EngagementRow.id).where(EngagementRow.received_at < before)
    demos = select(DemoRow.id).where(DemoRow.received_at < before)
    orphans = select(ActionRow.id).where(ActionRow.position.is_(None), ActionRow.outcome_at < before)
    _in_portions(database, orphans, ActionRow.id)
    rest = _in_portions(database, signs, EngagementRow.id), _in_portions(database, demos, DemoRow.id)
    return of_turns + sum(rest)


def _old_turns(before: float) -> Select[str]:
    awaited = select(FlagRow.turn_id).where(FlagRow.state == "open")
    return select(TurnRow.turn_id).where(TurnRow.started_at < before, TurnRow.turn_id.not_in(awaited))


def _in_portions(
    database: Database,
    old: Select[str] | Select[int],
    key: InstrumentedAttribute[str] | InstrumentedAttribute[int],
    dependants: Sequence[type[RatingRow] | type[ActionRow] | type[FlagRow]] = (),
) -> int:
    gone = 0
    while True:
        with database.transaction() as session:
            ids: Sequence[object] = session.scalars(old.limit(PORTION)).all()
        if not ids:
            return gone
        with database.transaction() as session:  # another one: SQLite lets no reader become a writer
            for table in dependants:
                session.execute(delete(table).where(table.turn_id.in_(ids)))
            session.execute(delete(key.class_).where(key.in_(ids)))
        gone += len(ids)
