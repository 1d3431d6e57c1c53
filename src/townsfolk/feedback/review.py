"""Flags as a reviewer reads them: the queue, and the turn that each is about.

Refuses to know who may decide; that is the console's.
"""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from townsfolk.feedback.models import FlagRow
from townsfolk.types import Flag, FlagState

WORST_FIRST: tuple[FlagState, ...] = ("rejected", "open", "approved")


def list_flags(session: Session, state: FlagState | None, limit: int, before: float) -> tuple[Flag, ...]:
    """Flags of `state` (None: all) raised before the Unix time `before`, newest first.

    At most `limit`, but all that were raised at the same time as the last: the next page begins before that.
    """
    query = select(FlagRow).order_by(FlagRow.at.desc(), FlagRow.id)
    if state:
        query = query.where(FlagRow.state == state)
    found = list(session.scalars(query.where(FlagRow.at < before).limit(limit)))
    if len(found) == limit:
        last = found[-1]
        found += session.scalars(query.where(FlagRow.at == last.at, FlagRow.id > last.id))
    return tuple(map(read_flag, found))


def count_flags(session: Session) -> dict[str, int]:
    """How many there are, by state."""
    found = session.execute(select(FlagRow.state, func.count()).group_by(FlagRow.state))
    return dict.fromkeys(WORST_FIRST, 0) | {row[0]: row[1] for row in found}


def reviews_of(session: Session, turn_ids: Collection[str]) -> dict[str, FlagState]:
    """By turn_id, what was said of its flags: the worst of all."""
    found: dict[str, FlagState] = {}
    flags = map(read_flag, session.scalars(select(FlagRow).where(FlagRow.turn_id.in_(turn_ids))))
    for flag in flags:
        known = found.get(flag.turn_id, flag.state)
        found[flag.turn_id] = min(known, flag.state, key=WORST_FIRST.index)
    return found


def read_flag(row: FlagRow) -> Flag:
    return Flag(**{name: getattr(row, name) for name in Flag.model_fields})
