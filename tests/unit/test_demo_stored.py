"""Rows are counted in a database that the real store has made."""

from pathlib import Path

from townsfolk.config import StoreSettings
from townsfolk.demo.stored import count_rows
from townsfolk.feedback.store import Store
from townsfolk.types import Rating, Turn

TURN = Turn(
    turn_id="t1",
    game_id="g",
    villager_id="v1",
    persona="guard",
    adapter_hash="",
    player="sam",
    context="...",
    reply="Hello.",
    started_at=1.0,
)


def test_turns_and_ratings_are_counted(tmp_path: Path) -> None:
    database = tmp_path / "townsfolk.db"
    settings = StoreSettings(
        url=f"sqlite:///{database}", spool_dir=tmp_path / "spool", behaviour_log=tmp_path / "log.jsonl"
    )
    store = Store.open(settings)
    store.record_turn(TURN).result(10)
    store.rate(Rating(turn_id="t1", player="sam", value=-1))
    store.drain()
    rows = count_rows(database)
    store.close()
    assert (rows["turns"], rows["ratings"], rows["ratings up"], rows["ratings down"]) == (1, 1, 0, 1)


def test_no_database_yet_has_no_rows(tmp_path: Path) -> None:
    assert count_rows(tmp_path / "none.db") == {}
