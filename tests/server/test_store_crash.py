"""No acknowledged row is lost or doubled: killed writers, a locked, read-only or missing database."""

import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from store_writer import new_turn, settings_in, write_for_ever

from townsfolk.errors import StoreError
from townsfolk.feedback.store import Store
from townsfolk.types import LogEntry, Rating

ROUNDS = 15
MAX_LIFE_S = 0.4
PROCESSES = get_context("forkserver")  # its children start in milliseconds, as the imports are done
PROCESSES.set_forkserver_preload(["townsfolk.feedback.store"])


def rows(home: Path, statement: str) -> list[Any]:
    connection = sqlite3.connect(home / "store.db")
    found = [row[0] for row in connection.execute(statement)]
    connection.close()
    return found


def run_and_kill(home: Path, run: str, life_s: float) -> list[str]:
    """Rows that a writer acknowledged in the `life_s` seconds before it was killed."""
    reader, writer = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=write_for_ever, args=(home, run, writer))
    process.start()
    writer.close()
    assert reader.recv() == "started"
    time.sleep(life_s)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return list(received(reader))


def received(reader: "Connection[None, str]") -> Iterator[str]:
    with reader, suppress(EOFError):
        while True:
            yield reader.recv()


def test_killed_writers_lose_and_double_nothing(tmp_path: Path) -> None:
    chance = random.Random(7)
    acknowledged: set[str] = set()
    for number in range(ROUNDS):
        acknowledged.update(run_and_kill(tmp_path, f"r{number}", chance.uniform(0, MAX_LIFE_S)))
    store = Store.open(settings_in(tmp_path))
    store.drain()
    assert store.stats().rejected == 0
    store.close()

    turns = rows(tmp_path, "SELECT turn_id FROM turns")
    logs = rows(tmp_path, "SELECT text FROM engagement")
    assert acknowledged <= set(turns) | set(logs)
    assert len(turns) + len(logs) == len(set(turns) | set(logs))
    assert len(acknowledged) > ROUNDS
    rated = rows(tmp_path, "SELECT turn_id FROM ratings")
    done = rows(tmp_path, "SELECT turn_id FROM actions WHERE outcome = 'done' AND position = 0")
    turns_acknowledged = {row for row in acknowledged if not row.startswith("log-")}
    assert turns_acknowledged <= set(rated)
    assert turns_acknowledged <= set(done)
    assert len(done) == len(set(done))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(settings_in(tmp_path))
    yield opened
    opened.close()


def test_locked_database_holds_up_nobody(store: Store, tmp_path: Path) -> None:
    store.record_turn(new_turn("before"))
    store.drain()
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    for number in range(20):
        store.record_turn(new_turn(f"t{number}"))
        store.rate(Rating(turn_id=f"t{number}", player="sam", value=1))
    store.rate(Rating(turn_id="before", player="sam", value=-1))
    assert time.monotonic() - started < 2
    assert store.stats().spooled >= 40
    other.execute("COMMIT")
    other.close()
    store.drain(20)
    assert (store.counts()["turns"], store.counts()["ratings"]) == (21, 21)


def test_spool_is_replayed_by_the_next_run(tmp_path: Path) -> None:
    readonly = settings_in(tmp_path).model_copy(
        update={"url": f"sqlite:///file:{tmp_path / 'store.db'}?mode=ro&uri=true"}
    )
    Store.open(settings_in(tmp_path)).close()
    store = Store.open(readonly)
    for number in range(10):
        store.record_turn(new_turn(f"t{number}"))
        store.log(LogEntry(game_id="g", kind="joined", text=str(number)))
    with pytest.raises(StoreError, match="readonly database"):
        store.drain(1)
    assert store.stats().spooled == 20
    store.close()
    assert rows(tmp_path, "SELECT count(*) FROM turns") == [0]

    store = Store.open(settings_in(tmp_path))
    assert (store.counts()["turns"], store.counts()["engagement"]) == (10, 10)
    assert store.stats().spooled == 0
    store.close()


def test_database_that_comes_later_gets_all(tmp_path: Path) -> None:
    """The folder of the database can't be made at first: a file is in its place."""
    place = tmp_path / "disk"
    place.write_text("")
    settings = settings_in(tmp_path).model_copy(update={"url": f"sqlite:///{place / 'store.db'}"})
    store = Store.open(settings)
    store.record_turn(new_turn("t"))
    store.rate(Rating(turn_id="t", player="sam", value=1))
    store.rate(Rating(turn_id="unknown", player="sam", value=1))
    assert store.stats().last_error
    with pytest.raises(StoreError):
        store.recent_turns("g", "ada", 1)
    place.unlink()
    store.drain(20)
    assert (store.counts()["turns"], store.counts()["ratings"]) == (1, 1)
    assert (store.stats().rejected, store.stats().last_error) == (1, "")
    store.close()
