"""What each villager did lately, counted: what its limits go on from when the service starts again."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Integer, cast, func, select
from sqlalchemy.orm import Session

from townsfolk.feedback.models import ActionRow, TurnRow

MINUTE_S = 60


@dataclass(frozen=True)
class Did:
    """One action of one villager, as often as it was allowed within a minute."""

    game_id: str
    villager_id: str
    persona: str
    action: str
    areas: str | None
    """As `Turn.areas`."""
    times: int
    at: float
    """Of the last of them: Unix time in seconds."""


def done_between(session: Session, since: float, until: float) -> Iterator[Did]:
    """Actions that policy allowed, of turns that began between these Unix times."""
    who = (TurnRow.game_id, TurnRow.villager_id, TurnRow.persona, ActionRow.name, TurnRow.areas)
    query = (
        select(*who, func.count(), func.max(TurnRow.started_at))
        .join(TurnRow, TurnRow.turn_id == ActionRow.turn_id)
        .where(
            TurnRow.started_at.between(since, until), TurnRow.villager_id != "", ActionRow.allowed.is_(True)
        )
        .group_by(*who, cast(TurnRow.started_at / MINUTE_S, Integer))
    )
    return (Did(*found) for found in session.execute(query))
