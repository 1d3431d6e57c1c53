"""A PostgreSQL server that hangs with its connections open: nobody waits for it long, and nothing is lost."""

import time
from pathlib import Path

import httpx
from postgres_server import Postgres
from sqlalchemy import text, update
from store_writer import new_turn, settings_in

from console_village import TOKEN, open_rooms, served
from townsfolk.feedback import rows
from townsfolk.feedback.database import Database
from townsfolk.feedback.models import Spool
from townsfolk.feedback.postgres import CONNECT_S, SILENCE_S
from townsfolk.feedback.store import Store
from townsfolk.types import LogEntry

BOUND_S = SILENCE_S + CONNECT_S + 2
"""The longest that whoever finds out may wait; a busy machine takes some of it."""
AT_ONCE_S = 1.0


def test_nobody_waits_for_a_frozen_server(postgres: Postgres, tmp_path: Path) -> None:
    rooms = open_rooms(tmp_path, url=postgres.url)
    for turn in ("t1", "t2"):
        rooms.store.record_turn(new_turn(turn))
    rooms.store.drain()
    with served(rooms) as target, httpx.Client(base_url=target.http, timeout=30) as http:
        http.post("/console/login", data={"token": TOKEN})
        http.headers["Authorization"] = f"Bearer {TOKEN}"
        with postgres.frozen():
            assert _rate(http, "t1") < BOUND_S
            assert _rate(http, "t2") < AT_ONCE_S
            started = time.monotonic()
            assert "the database is away" in http.get("/console/").text
            assert http.get("/console/review").status_code == 503
            assert time.monotonic() - started < 2 * AT_ONCE_S
            assert "the database is away" in _note(http)
            assert "townsfolk_store_up 0.0" in http.get("/metrics").text
        rooms.store.drain(30)
        assert (rooms.store.counts()["ratings"], _note(http)) == (2, "")
        assert http.get("/console/review").status_code == 200
    rooms.close()


def test_a_commit_that_comes_through_late_is_found(postgres: Postgres, tmp_path: Path) -> None:
    """Its connection was given up while the server was frozen; thawed, the server commits it all the same."""
    settings = settings_in(tmp_path).model_copy(update={"url": postgres.url})
    entry = LogEntry(game_id="g", kind="joined")
    store, other = Store.open(settings), Database(postgres.url)
    with other.transaction() as session:
        session.execute(update(Spool).values(applied=1))
        rows.apply(session, rows.to_payload(entry, 1.0))
        store.log(entry)
        time.sleep(1)  # the applier has asked for the position, and waits for the lock
    store.drain(20)
    assert store.counts()["engagement"] == 1
    other.close()
    store.close()


def test_a_slow_query_is_no_silence(postgres: Postgres) -> None:
    database = Database(postgres.url)
    with database.transaction() as session:
        session.execute(text(f"SELECT pg_sleep({SILENCE_S + 1})"))
    database.close()


def _rate(http: httpx.Client, turn: str) -> float:
    """How long it took until it was acknowledged."""
    started = time.monotonic()
    http.post("/v1/ratings", json={"turn_id": turn, "player": "sam", "value": 1}).raise_for_status()
    return time.monotonic() - started


def _note(http: httpx.Client) -> str:
    """What is amiss, says a service that is ready."""
    return str(http.get("/readyz").raise_for_status().json().get("note", ""))
