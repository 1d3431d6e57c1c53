"""The tables -> what an audit looks at; its findings -> flags.

It works beside a service that runs, without its spool. Refuses to know what a finding is.
"""

import re
from collections.abc import Iterable

from sqlalchemy import select

from townsfolk.feedback import rows
from townsfolk.feedback.database import Reader
from townsfolk.feedback.models import ActionRow, FlagRow, TurnRow
from townsfolk.types import Acted, ActedTurn, AuditFlag

_NAMED = re.compile(r"^.+? to ([\w-]+): ", re.MULTILINE)
"""The line of a context in which somebody speaks to the villager."""


class ActedRows(Reader):
    """What a store's database holds of what villagers did."""

    def actions(self, since: float) -> list[Acted]:
        """Actions of turns that began at the Unix time `since` or later, in order. Raises StoreError."""
        query = (
            select(ActionRow, TurnRow.player, TurnRow.started_at)
            .join(TurnRow, TurnRow.turn_id == ActionRow.turn_id)
            .where(TurnRow.started_at >= since)
            .order_by(TurnRow.started_at, ActionRow.id)
        )
        with self._database.transaction() as session:
            return [_acted(*found) for found in session.execute(query).tuples()]

    def turns(self, since: float) -> list[ActedTurn]:
        """The turns themselves, likewise. Raises StoreError."""
        query = select(TurnRow).where(TurnRow.started_at >= since).order_by(TurnRow.started_at)
        with self._database.transaction() as session:
            return [_turn(row) for row in session.scalars(query)]

    def flag(self, flags: Iterable[AuditFlag]) -> list[AuditFlag]:
        """Keep those that are not known yet; gives them. Raises StoreError."""
        with self._database.transaction() as session:
            new = [flag for flag in flags if session.get(FlagRow, rows.flag_id(flag)) is None]
            for flag in new:
                rows.apply(session, rows.to_payload(flag, flag.at))
            return new


def _acted(row: ActionRow, player: str, at: float) -> Acted:
    return Acted(
        game_id=row.game_id,
        villager_id=row.villager_id,
        turn_id=row.turn_id,
        player=player,
        name=row.name,
        args=tuple(row.args or ()),
        tag=row.tag,
        allowed=row.allowed,
        rule=row.rule or "",
        outcome=row.outcome or "",
        at=at,
    )


def _turn(row: TurnRow) -> ActedTurn:
    named = _NAMED.findall(row.context)
    return ActedTurn(
        game_id=row.game_id,
        villager_id=row.villager_id,
        turn_id=row.turn_id,
        name=named[-1] if named else "",
        player=row.player,
        reply=row.reply,
        at=row.started_at,
    )
