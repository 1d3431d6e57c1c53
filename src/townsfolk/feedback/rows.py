"""Messages <-> rows: how each kind of record changes the tables, and how a turn is read back.

Each record is applied exactly once (the applier sees to that), in the order it was written.
Refuses to know about files, threads and retries.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from townsfolk.errors import Forbidden
from townsfolk.feedback.models import (
    ActionRow,
    AdapterChangeRow,
    AdapterRow,
    Base,
    DemoRow,
    EngagementRow,
    FlagRow,
    ForgottenRow,
    GameRow,
    MemoryRow,
    RatingRow,
    TurnRow,
)
from townsfolk.types import (
    Action,
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
    Verdict,
)

TOLD_AGAIN_S = 3_600
"""For so long a game may go on telling what nobody acknowledged."""


def to_payload(message: Message, at: float, **extra: str) -> dict[str, Any]:
    """What the spool keeps of `message`, which arrived `at` (Unix time, seconds)."""
    return {"kind": type(message).__name__, "at": at, "body": message.model_dump(mode="json"), **extra}


def turn_of(payload: dict[str, Any]) -> tuple[str, str] | None:
    """The ids of the turn that `payload` brings and of its game, if it brings one."""
    body = payload["body"]
    return (str(body["turn_id"]), str(body["game_id"])) if payload["kind"] == Turn.__name__ else None


def check_game(rating: Rating, game_id: str) -> None:
    """Args: game_id: the turn's; a turn that was asked for directly has none, and is for all to rate.

    Raises:
        Forbidden: the turn is not of the game that the rating is for.
    """
    if rating.game_id and game_id not in ("", rating.game_id):
        raise Forbidden(
            f"turn {rating.turn_id!r} is not of the game {rating.game_id!r}: rate turns of that game, or use "
            "the token of the turn's own"
        )


def forgotten_by(payload: dict[str, Any]) -> ForgetPlayer | None:
    """Who `payload` has forgotten, if that is what it is for."""
    return ForgetPlayer.model_validate(payload["body"]) if payload["kind"] == ForgetPlayer.__name__ else None


def is_of(payload: dict[str, Any], gone: ForgetPlayer) -> bool:
    """Whether `payload` is a record of the player who is gone."""
    body = payload["body"]
    game_id = body.get("game_id") or gone.game_id  # a rating may name none
    return (game_id, body.get("player")) == (gone.game_id, gone.player)


def player_hash(game_id: str, player: str) -> str:
    """What stands for a player where the name must not, as in datasets; hexadecimal."""
    return hashlib.sha256(f"{game_id}\n{player}".encode()).hexdigest()


def flag_id(flag: AuditFlag) -> str:
    """What a flag is known by; hexadecimal."""
    parts = (flag.game_id, flag.villager_id, flag.turn_id, flag.rule, f"{flag.at:.3f}", flag.reason)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def apply(session: Session, payload: dict[str, Any]) -> None:
    """Change the tables as `payload` says.

    Raises:
        pydantic.ValidationError, KeyError: the payload is of a version that this program can't read.
        Forbidden: a rating of another game's turn.
    """
    _APPLY[payload["kind"]](session, payload)


def _turn(session: Session, payload: dict[str, Any]) -> None:
    turn = Turn.model_validate(payload["body"])
    if session.get(TurnRow, turn.turn_id) is not None:
        return
    session.add(TurnRow(**_values(turn, exclude={"actions", "verdicts"})))
    for position, (action, verdict) in enumerate(zip(turn.actions, turn.verdicts, strict=True)):
        row = _told_before(session, turn, action) or ActionRow(turn_id=turn.turn_id, tag=_clean(action.tag()))
        row.game_id, row.villager_id, row.position = turn.game_id, turn.villager_id, position
        row.name, row.args = action.name, list(action.args)
        row.allowed, row.rule, row.reason = verdict.allowed, verdict.rule, _clean(verdict.reason)
        session.add(row)


def _told_before(session: Session, turn: Turn, action: Action) -> ActionRow | None:
    """The action's row if the game told its outcome before the turn had ended."""
    early = select(ActionRow).where(
        ActionRow.turn_id == turn.turn_id, ActionRow.tag == _clean(action.tag()), ActionRow.position.is_(None)
    )
    return session.scalars(early.order_by(ActionRow.id).limit(1)).first()


def _outcome(session: Session, payload: dict[str, Any]) -> None:
    outcome = Outcome.model_validate(payload["body"])
    open_action = select(ActionRow).where(
        ActionRow.turn_id == outcome.turn_id,
        ActionRow.tag == _clean(outcome.action),
        ActionRow.outcome.is_(None),
        or_(ActionRow.allowed.is_(None), ActionRow.allowed.is_(True)),
    )
    row = session.scalars(open_action.order_by(ActionRow.position, ActionRow.id).limit(1)).first()
    if row is None:
        row = ActionRow(turn_id=outcome.turn_id, tag=_clean(outcome.action), villager_id=outcome.villager_id)
        row.game_id, row.name = payload["game_id"], outcome.action.partition(" ")[0][:64]
    row.outcome, row.outcome_reason, row.outcome_at = outcome.verdict, _clean(outcome.reason), payload["at"]
    session.add(row)


def _rating(session: Session, payload: dict[str, Any]) -> None:
    """Of what game the turn is could not be asked where the database was away when the rating came."""
    rating = Rating.model_validate(payload["body"])
    if turn := session.get(TurnRow, rating.turn_id):
        check_game(rating, turn.game_id)
    session.merge(RatingRow(**_values(rating, exclude={"game_id"}), at=payload["at"]))


def _log_entry(session: Session, payload: dict[str, Any]) -> None:
    """The game tells it again when the answer to it was lost: a sign that is known stays as it is."""
    values = _values(LogEntry.model_validate(payload["body"]))
    lately = select(EngagementRow.id).where(EngagementRow.received_at > payload["at"] - TOLD_AGAIN_S)
    if session.scalar(lately.filter_by(**values).limit(1)) is None:
        session.add(EngagementRow(**values, received_at=payload["at"]))


def _demo(session: Session, payload: dict[str, Any]) -> None:
    """The game tells a batch again when the answer to it was lost: a step that is known stays as it is."""
    batch = DemoBatch.model_validate(payload["body"])
    known = set(session.scalars(select(DemoRow.number).where(DemoRow.demo_id == batch.demo_id)))
    for step in batch.steps:
        if step.number not in known:
            row = DemoRow(**_values(batch, exclude={"steps"}), **_values(step, exclude={"action"}))
            row.text, row.at = _clean(step.action), step.observation.snapshot_time
            row.received_at = payload["at"]
            session.add(row)


def _forget(session: Session, payload: dict[str, Any]) -> None:
    forget(session, ForgetPlayer.model_validate(payload["body"]), payload["at"])


def forget(session: Session, gone: ForgetPlayer, at: float) -> None:
    """Delete what was kept of the player. Turns with others that mention them stay."""
    in_game = select(TurnRow.turn_id).where(TurnRow.game_id == gone.game_id)
    turns = in_game.where(TurnRow.player == gone.player)
    for table in (RatingRow, ActionRow, FlagRow, EngagementRow):
        session.execute(delete(table).where(table.turn_id.in_(turns)))
    session.execute(delete(RatingRow).where(RatingRow.player == gone.player, RatingRow.turn_id.in_(in_game)))
    for kept in (TurnRow, EngagementRow, DemoRow, MemoryRow):
        session.execute(delete(kept).where(kept.game_id == gone.game_id, kept.player == gone.player))
    session.merge(ForgottenRow(who=player_hash(gone.game_id, gone.player), at=at))


def _merge(
    table: type[Base], message: type[Message], time: str | None, *left_out: str
) -> Callable[..., None]:
    """A function that writes the message over the row of the same key."""

    def apply_one(session: Session, payload: dict[str, Any]) -> None:
        values = _values(message.model_validate(payload["body"]), exclude=set(left_out))
        session.merge(table(**values, **({time: payload["at"]} if time else {})))

    return apply_one


def _flag(session: Session, payload: dict[str, Any]) -> None:
    """What is flagged already keeps what was decided of it: an audit finds the same thing again."""
    flag = AuditFlag.model_validate(payload["body"])
    if session.get(FlagRow, flag_id(flag)) is None:
        undecided = {"state": "open", "note": "", "who": "", "decided_at": 0}
        session.add(FlagRow(**_values(flag), id=flag_id(flag), **undecided))


def _decide(session: Session, payload: dict[str, Any]) -> None:
    decision = FlagDecision.model_validate(payload["body"])
    decided = _values(decision, exclude={"id"}) | {"decided_at": payload["at"]}
    session.execute(update(FlagRow).where(FlagRow.id == decision.id).values(**decided))


_APPLY: dict[str, Callable[[Session, dict[str, Any]], None]] = {
    Turn.__name__: _turn,
    Outcome.__name__: _outcome,
    LogEntry.__name__: _log_entry,
    DemoBatch.__name__: _demo,
    AuditFlag.__name__: _flag,
    FlagDecision.__name__: _decide,
    ForgetPlayer.__name__: _forget,
    Rating.__name__: _rating,
    Memory.__name__: _merge(MemoryRow, Memory, None),
    Game.__name__: _merge(GameRow, Game, "connected_at", "personas"),
    AdapterChange.__name__: _merge(AdapterChangeRow, AdapterChange, None),
    AdapterVersion.__name__: _merge(AdapterRow, AdapterVersion, "loaded_at", "resident"),
}


def read_turn(row: TurnRow, actions: list[ActionRow]) -> Turn:
    """The turn as it was recorded; `actions` are its rows in order of position."""
    fields = {name: getattr(row, name) for name in Turn.model_fields if name not in ("actions", "verdicts")}
    return Turn(
        **fields,
        actions=tuple(Action(name=action.name, args=tuple(action.args or ())) for action in actions),
        verdicts=tuple(
            Verdict(allowed=bool(action.allowed), rule=action.rule or "", reason=action.reason or "")
            for action in actions
        ),
    )


def read_memory(row: MemoryRow) -> Memory:
    return Memory(**{name: getattr(row, name) for name in Memory.model_fields})


def _values(message: Message, exclude: set[str] | None = None) -> dict[str, Any]:
    values = message.model_dump(mode="json", exclude=exclude)
    return {name: _clean(value) if isinstance(value, str) else value for name, value in values.items()}


def _clean(text: str) -> str:
    """PostgreSQL's text can't hold NUL."""
    return text.replace("\0", "\ufffd")
