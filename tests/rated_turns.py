"""Turns that players judged, in a store."""

from typing import Literal

from townsfolk.feedback.store import Store
from townsfolk.types import Rating, Turn


def rate_turn(
    store: Store, number: int, player: str, reply: str, value: Literal[-1, 1], said: str = ""
) -> None:
    """A turn of the explorer's by the base model alone, and the player's thumb on it."""
    turn = Turn(
        turn_id=f"t{number:02}",
        game_id="g",
        villager_id="v",
        persona="explorer",
        adapter_hash="",
        player=player,
        context=f"{player} to Odo: {said or f'hello, day {number}'}",
        reply=reply,
        started_at=number,
    )
    store.record_turn(turn)
    store.rate(Rating(turn_id=turn.turn_id, player=player, value=value))
