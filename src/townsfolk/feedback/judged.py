"""How turns of one version of an adapter were taken: by players' thumbs, by policy and the game."""

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from townsfolk.feedback.models import ActionRow, RatingRow, TurnRow
from townsfolk.types import TurnOutcome


def outcomes_of(
    session: Session, persona: str, adapter_hash: str, limit: int, since: float | None
) -> tuple[TurnOutcome, ...]:
    """Turns that answered somebody, oldest first: from `since` on, else the last of all."""
    order = TurnRow.started_at.desc() if since is None else TurnRow.started_at
    refused = (
        select(ActionRow.id)
        .where(ActionRow.turn_id == TurnRow.turn_id)
        .where(or_(ActionRow.allowed.is_(False), ActionRow.outcome == "refused"))
        .exists()
    )
    thumbs = (
        select(func.coalesce(func.sum(RatingRow.value), 0))
        .where(RatingRow.turn_id == TurnRow.turn_id)
        .scalar_subquery()
    )
    answered = select(refused, thumbs).where(
        TurnRow.adapter_hash == adapter_hash,
        TurnRow.persona == persona,
        TurnRow.player != "",
        TurnRow.started_at >= (since or 0),
    )
    found = session.execute(answered.order_by(order, TurnRow.turn_id).limit(limit)).all()
    outcomes = [TurnOutcome(refused=bad, thumb=(total > 0) - (total < 0)) for bad, total in found]
    return tuple(outcomes if since is not None else reversed(outcomes))
