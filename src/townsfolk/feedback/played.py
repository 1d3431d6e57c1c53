"""The tables -> what was played, to learn from it; read beside a service that runs.

It never tells of a player who wishes to be forgotten, and refuses to know what a reward is made of.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

from sqlalchemy import select
from sqlalchemy.orm import Session

from townsfolk.feedback.database import Reader
from townsfolk.feedback.models import (
    ActionRow,
    DemoRow,
    EngagementRow,
    ForgottenRow,
    MemoryRow,
    RatingRow,
    TurnRow,
)
from townsfolk.feedback.review import reviews_of
from townsfolk.feedback.rows import player_hash, read_turn
from townsfolk.types import Observation, PlayedTurn, ShownStep

CHUNK = 500
"""Turns read at a time."""
NAME = re.compile(r"[\w-]+")
"""What may be a player's name in a text."""


class Played(Reader):
    """What a store's database holds of play."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        with self._database.transaction() as session:
            self.forgotten = frozenset(session.scalars(select(ForgottenRow.who)))
            """Players who wish to be forgotten, as in `PlayedTurn.who`."""

    def players(self) -> frozenset[str]:
        """Names of all players that are known, and of forgotten ones where others' rows still hold them."""
        with self._database.transaction() as session:
            known = frozenset(
                name
                for table in (TurnRow, RatingRow, MemoryRow, EngagementRow, DemoRow)
                for name in session.scalars(select(table.player).distinct())
                if name
            )
            return known | self._mentioned(session) if self.forgotten else known

    def _mentioned(self, session: Session) -> frozenset[str]:
        """Words of turns and demonstrations that are the name of a forgotten player: only hashes are left."""
        turns = session.execute(select(TurnRow.game_id, TurnRow.context, TurnRow.reply))
        demos = session.execute(select(DemoRow.game_id, DemoRow.text, DemoRow.observation))
        found = {
            (game_id, name)
            for game_id, *texts in chain(turns.yield_per(CHUNK), demos.yield_per(CHUNK))
            for text in texts
            for name in NAME.findall(str(text).replace("\\n", " "))  # an observation's line breaks
        }
        return frozenset(name for game_id, name in found if player_hash(game_id, name) in self.forgotten)

    def turns(self) -> Iterator[PlayedTurn]:
        """All turns in their order, with what followed on them."""
        last = ""
        while chunk := self._chunk(last):
            last = chunk[-1].turn.turn_id
            yield from (played for played in chunk if played.who not in self.forgotten)

    def steps(self) -> Iterator[ShownStep]:
        """All steps of demonstrations that say what was seen, in their order."""
        query = select(DemoRow).where(DemoRow.demo_id != "").order_by(DemoRow.demo_id, DemoRow.number)
        with self._database.transaction() as session:
            steps = [_step(row) for row in session.scalars(query) if row.observation is not None]
        yield from (step for step in steps if step.who not in self.forgotten)

    def _chunk(self, after: str) -> list[PlayedTurn]:
        query = select(TurnRow).where(TurnRow.turn_id > after).order_by(TurnRow.turn_id).limit(CHUNK)
        with self._database.transaction() as session:
            return list(_with_all(session, list(session.scalars(query))))


def _with_all(session: Session, turns: Sequence[TurnRow]) -> Iterator[PlayedTurn]:
    ids = [turn.turn_id for turn in turns]
    actions, ratings, signs = defaultdict(list), defaultdict(list), defaultdict(list)
    for action in session.scalars(
        select(ActionRow).where(ActionRow.turn_id.in_(ids)).order_by(ActionRow.position)
    ):
        actions[action.turn_id].append(action)
    for rating in session.scalars(select(RatingRow).where(RatingRow.turn_id.in_(ids))):
        ratings[rating.turn_id].append(rating.value)
    for sign in session.scalars(select(EngagementRow).where(EngagementRow.turn_id.in_(ids))):
        signs[sign.turn_id].append(sign.kind)
    reviews = reviews_of(session, ids)
    for turn in turns:
        own = actions[turn.turn_id]
        yield PlayedTurn(
            turn=read_turn(turn, [action for action in own if action.position is not None]),
            who=player_hash(turn.game_id, turn.player) if turn.player else "",
            ratings=tuple(ratings[turn.turn_id]),
            signs=tuple(signs[turn.turn_id]),
            outcomes=tuple(action.outcome for action in own if action.outcome),
            review=reviews.get(turn.turn_id),
        )


def _step(row: DemoRow) -> ShownStep:
    seen = Observation.model_validate(row.observation)
    return ShownStep(
        demo_id=row.demo_id,
        number=row.number,
        who=player_hash(row.game_id, row.player),
        player=row.player,
        persona=seen.persona,
        action=row.text,
        observation=seen,
    )
