"""The Store on a real PostgreSQL, where its server is installed: same rows, replay after a restart."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from postgres_server import Postgres
from sqlalchemy import create_engine
from store_writer import OF_PLAYERS, keep_all_of, new_turn, settings_in

from old_schemas import REVISIONS, keeps_rows_from
from townsfolk.errors import StoreError
from townsfolk.feedback.database import Database
from townsfolk.feedback.models import Base
from townsfolk.feedback.rows import player_hash
from townsfolk.feedback.store import Store
from townsfolk.types import ForgetPlayer, LogEntry, Memory, Outcome, Rating


def test_store_on_postgres(postgres: Postgres, tmp_path: Path) -> None:
    store = Store.open(settings_in(tmp_path).model_copy(update={"url": postgres.url}))
    turn = new_turn("t").model_copy(update={"reply": "a\0b üñï"})
    store.record_turn(turn)
    store.record_outcomes("g", [Outcome(turn_id="t", villager_id="ada", action="wait", verdict="done")])
    for value in (1, -1):
        store.rate(Rating(turn_id="t", player="sam", value=value))
    memory = Memory(game_id="g", villager_id="ada", player="sam", facts=("likes apples",), met_count=2)
    store.remember(memory)
    store.record_turn(new_turn("too-long").model_copy(update={"player": "x" * 65}))
    store.drain()
    assert store.recent_turns("g", "ada", 5) == (turn.model_copy(update={"reply": "a\ufffdb üñï"}),)
    assert store.memories_of("g", "ada") == (memory,)
    assert {name: n for name, n in store.counts().items() if n} == {
        "actions": 1, "memories": 1, "ratings": 1, "spools": 1, "turns": 1,
    }  # fmt: skip
    assert store.stats().rejected == 1

    postgres.stop()
    for number in range(5):
        store.log(LogEntry(game_id="g", kind="joined", text=str(number)))
    postgres.start()
    store.drain(20)
    assert store.counts()["engagement"] == 5
    store.close()


def test_nobody_waits_for_a_lock_for_ever(postgres: Postgres, tmp_path: Path) -> None:
    store = Store.open(settings_in(tmp_path).model_copy(update={"url": postgres.url}))
    engine = create_engine(postgres.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE turns")
        with pytest.raises(StoreError, match="lock timeout"):
            store.recent_turns("g", "ada", 5)
    assert store.recent_turns("g", "ada", 5) == ()
    engine.dispose()
    store.close()


def test_several_may_bring_the_schema_up_to_date_at_once(postgres: Postgres) -> None:
    databases = [Database(postgres.url) for _ in range(4)]
    with ThreadPoolExecutor(len(databases)) as pool:
        list(pool.map(Database.migrate, databases))
    assert len({database.version() for database in databases}) == 1
    for database in databases:
        database.close()


def test_a_player_is_forgotten_on_postgres(postgres: Postgres, tmp_path: Path) -> None:
    store = Store.open(settings_in(tmp_path).model_copy(update={"url": postgres.url}))
    before = store.counts()
    keep_all_of(store, "zoe")
    store.forget(ForgetPlayer(game_id="g", player="zoe"))
    store.drain(20)
    after = store.counts()
    assert {name: after[name] - before[name] for name in OF_PLAYERS} == dict.fromkeys(OF_PLAYERS, 0)
    assert player_hash("g", "zoe") in store.forgotten()
    store.close()


def test_rows_of_the_first_schema_stay_on_postgres(postgres: Postgres) -> None:
    keeps_rows_from(REVISIONS[0], postgres.url)


def test_migrations_make_what_the_classes_say(postgres: Postgres, tmp_path: Path) -> None:
    Store.open(settings_in(tmp_path).model_copy(update={"url": postgres.url})).close()
    engine = create_engine(postgres.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()
