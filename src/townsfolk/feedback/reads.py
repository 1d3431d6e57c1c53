"""What can be asked of the store's database. Each question waits for it: ask off the event loop.

What was written a moment ago may still be on its way there.
"""

from math import inf

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from townsfolk.errors import UnknownName
from townsfolk.feedback import rows
from townsfolk.feedback.database import Database
from townsfolk.feedback.judged import outcomes_of
from townsfolk.feedback.lately import Did, done_between
from townsfolk.feedback.models import ActionRow, Base, FlagRow, ForgottenRow, MemoryRow, TurnRow
from townsfolk.feedback.review import count_flags, list_flags, read_flag
from townsfolk.types import Flag, FlagState, Memory, Turn, TurnOutcome


class Reads:
    """Every method raises StoreError: the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def recent_turns(self, game_id: str, villager_id: str, limit: int) -> tuple[Turn, ...]:
        """The last turns of a villager that the database has, oldest first."""
        newest = (
            select(TurnRow)
            .where(TurnRow.game_id == game_id, TurnRow.villager_id == villager_id)
            .order_by(TurnRow.started_at.desc(), TurnRow.turn_id)
            .limit(limit)
        )
        with self._database.transaction() as session:
            turns = list(session.scalars(newest))
            actions = _actions_of(session, turns)
            return tuple(rows.read_turn(turn, actions[turn.turn_id]) for turn in reversed(turns))

    def memories_of(self, game_id: str, villager_id: str, limit: int = 256) -> tuple[Memory, ...]:
        """What a villager remembers of the players it saw last, by player."""
        query = select(MemoryRow).where(MemoryRow.game_id == game_id, MemoryRow.villager_id == villager_id)
        with self._database.transaction() as session:
            found = session.scalars(query.order_by(MemoryRow.last_seen.desc()).limit(limit))
            return tuple(sorted(map(rows.read_memory, found), key=lambda memory: memory.player))

    def list_flags(
        self, state: FlagState | None = None, limit: int = 100, before: float = inf
    ) -> tuple[Flag, ...]:
        """Flags in a state (None: in any) raised before a Unix time, newest first."""
        with self._database.transaction() as session:
            return list_flags(session, state, limit, before)

    def count_flags(self) -> dict[str, int]:
        """Flags in the database, by state."""
        with self._database.transaction() as session:
            return count_flags(session)

    def read_flag(self, flag_id: str) -> Flag:
        """One flag. Raises UnknownName."""
        with self._database.transaction() as session:
            if row := session.get(FlagRow, flag_id):
                return read_flag(row)
        raise UnknownName(f"flag {flag_id!r} is not known: name one that the list of flags has")

    def read_turn(self, turn_id: str) -> Turn:
        """One turn that the database has. Raises UnknownName."""
        with self._database.transaction() as session:
            if row := session.get(TurnRow, turn_id):
                return rows.read_turn(row, _actions_of(session, [row])[turn_id])
        raise UnknownName(f"turn {turn_id!r} is not known: it was forgotten, or is not stored yet")

    def done_between(self, since: float, until: float) -> tuple[Did, ...]:
        """What policy allowed villagers between two Unix times, counted by the minute."""
        with self._database.transaction() as session:
            return tuple(done_between(session, since, until))

    def forgotten(self) -> frozenset[str]:
        """The players who wish to be forgotten, each as `rows.player_hash`."""
        with self._database.transaction() as session:
            return frozenset(session.scalars(select(ForgottenRow.who)))

    def outcomes_of(
        self, persona: str, adapter_hash: str, limit: int, since: float | None = None
    ) -> tuple[TurnOutcome, ...]:
        """How turns that answered somebody were taken, oldest first.

        Args:
            since: the first `limit` turns from this Unix time on; None: the last `limit` of all.
        """
        with self._database.transaction() as session:
            return outcomes_of(session, persona, adapter_hash, limit, since)

    def counts(self) -> dict[str, int]:
        """Rows in the database, by table."""
        with self._database.transaction() as session:
            return {
                table.name: session.scalar(select(func.count()).select_from(table)) or 0
                for table in Base.metadata.sorted_tables
            }


def _actions_of(session: Session, turns: list[TurnRow]) -> dict[str, list[ActionRow]]:
    """By turn_id, in order of position."""
    of_turn: dict[str, list[ActionRow]] = {turn.turn_id: [] for turn in turns}
    recorded = select(ActionRow).where(ActionRow.turn_id.in_(of_turn), ActionRow.position.is_not(None))
    for action in session.scalars(recorded.order_by(ActionRow.position)):
        of_turn[action.turn_id].append(action)
    return of_turn
