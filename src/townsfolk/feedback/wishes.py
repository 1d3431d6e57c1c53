"""Players who wish to be forgotten, over a restore: an older copy knows them still."""

import logging

from sqlalchemy import select

from townsfolk.errors import StoreError
from townsfolk.feedback.database import Database
from townsfolk.feedback.models import DemoRow, EngagementRow, ForgottenRow, MemoryRow, TurnRow
from townsfolk.feedback.rows import forget, player_hash
from townsfolk.types import ForgetPlayer

log = logging.getLogger(__name__)


def read(database: Database) -> dict[str, float]:
    """Who, as `rows.player_hash`, and since when. A database that can't be read knows nobody."""
    try:
        database.migrate()
        with database.transaction() as session:
            return {row.who: row.at for row in session.scalars(select(ForgottenRow))}
    except StoreError as error:
        log.warning("who asked to be forgotten since the backup is not known: %s", error)
        return {}


def renew(database: Database, wished: dict[str, float]) -> None:
    """Forget them again, where they are known. Raises StoreError: the database is away."""
    with database.transaction() as session:
        for who, since in wished.items():
            session.merge(ForgottenRow(who=who, at=since))
        for table in (TurnRow, EngagementRow, DemoRow, MemoryRow):
            for game_id, player in session.execute(select(table.game_id, table.player).distinct()).all():
                who = player_hash(game_id, player)
                if who in wished:
                    forget(session, ForgetPlayer(game_id=game_id, player=player), wished[who])
