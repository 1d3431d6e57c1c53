"""`townsfolk db` on SQLite and a real PostgreSQL: copied while it is written, put back, swept, indexed."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from postgres_server import Postgres
from sqlalchemy import create_engine, text, update
from store_writer import OF_PLAYERS, keep_all_of, new_turn, settings_in
from typer.testing import CliRunner

from townsfolk.cli import app
from townsfolk.config import StoreSettings
from townsfolk.errors import StoreError
from townsfolk.feedback.database import Database
from townsfolk.feedback.models import ActionRow
from townsfolk.feedback.rows import player_hash
from townsfolk.feedback.store import Store
from townsfolk.types import FlagDecision, ForgetPlayer, LogEntry, Outcome, Rating

DAY_S = 86_400


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    own = settings_in(tmp_path)
    if request.param == "sqlite":
        return own
    server: Postgres = request.getfixturevalue("postgres")
    return own.model_copy(update={"url": server.url})


@pytest.fixture
def store(settings: StoreSettings) -> Iterator[Store]:
    opened = Store.open(settings)
    yield opened
    opened.close()


def db(settings: StoreSettings, *arguments: str) -> dict[str, object]:
    """What the command tells as JSON; raises what it fails with."""
    config = settings.spool_dir.parent / "settings.yaml"
    config.write_text(yaml.safe_dump({"store": settings.model_dump(mode="json")}))
    done = CliRunner().invoke(app, ["db", *arguments, "--config", str(config), "--json"])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    told: dict[str, object] = json.loads(done.stdout)
    return told


def turns_of(settings: StoreSettings, table: str) -> list[str]:
    """The turns that the rows of a table are of."""
    with closing(Database(settings.url)) as database, database.transaction() as session:
        return list(session.scalars(text(f"SELECT turn_id FROM {table}")))


def test_a_database_comes_up_to_date(settings: StoreSettings) -> None:
    first, second = db(settings, "migrate"), db(settings, "migrate")
    assert (first["before"], second["before"]) == ("", first["now"])


def test_a_backup_made_while_rows_come_is_whole_and_comes_back(
    store: Store, settings: StoreSettings, tmp_path: Path
) -> None:
    keep_all_of(store, "zoe")
    store.drain()
    ends = threading.Event()

    def write() -> None:
        number = 0
        while not ends.is_set():
            store.record_turn(new_turn(f"t{number}"))
            store.rate(Rating(turn_id=f"t{number}", player="sam", value=1))
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.3)
    file = tmp_path / "copies" / "copy"
    try:
        told = db(settings, "backup", str(file))
    finally:
        ends.set()
        writer.join()
    assert told["bytes"] == file.stat().st_size > 0
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(StoreError, match="used by another process"):
        db(settings, "restore", str(file))
    store.drain()
    after = store.counts()
    store.close()

    db(settings, "restore", str(file))
    kept, rated = len(turns_of(settings, "turns")), len(turns_of(settings, "ratings"))
    assert 1 <= kept <= after["turns"]
    assert kept - 1 <= rated <= kept
    with closing(Store.open(settings)) as again:  # what the spool still has and the copy lacks is applied
        again.record_turn(new_turn("after"))
        again.drain()
        assert again.counts()["turns"] > kept


def test_who_wished_to_be_forgotten_since_the_backup_stays_so(
    store: Store, settings: StoreSettings, tmp_path: Path
) -> None:
    for player in ("sam", "zoe"):
        keep_all_of(store, player)
    store.drain()
    db(settings, "backup", str(tmp_path / "copy"))
    store.forget(ForgetPlayer(game_id="g", player="zoe"))
    store.drain()
    store.close()
    db(settings, "restore", str(tmp_path / "copy"))
    with closing(Store.open(settings)) as again:
        assert {name: again.counts()[name] for name in OF_PLAYERS} == dict.fromkeys(OF_PLAYERS, 1)
        assert again.forgotten() == {player_hash("g", "zoe")}


def test_a_schema_of_another_version_is_not_copied_in_part(settings: StoreSettings, tmp_path: Path) -> None:
    database = Database(settings.url)
    database.migrate()
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"9999.*the version that the service runs"):
        database.require_newest()
    database.close()


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    own = settings_in(tmp_path)
    with pytest.raises(StoreError, match=r"is not there: check store\.url"):
        db(own, "backup", str(tmp_path / "copy"))
    assert not Path(str(Database(own.url).url.database)).exists()


def test_what_is_no_backup_leaves_the_database_as_it_was(
    store: Store, settings: StoreSettings, tmp_path: Path
) -> None:
    keep_all_of(store, "zoe")
    store.drain()
    before = store.counts()
    store.close()
    torn = tmp_path / "torn"
    db(settings, "backup", str(torn))
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
    for file in (torn, tmp_path / "nothing"):
        with pytest.raises(StoreError):
            db(settings, "restore", str(file))
    with closing(Store.open(settings)) as again:
        assert again.counts() == before


def test_old_rows_go_and_what_waits_for_review_stays(store: Store, settings: StoreSettings) -> None:
    now = time.time()
    for player in ("open", "decided"):
        keep_all_of(store, player)  # their turns are of 1970, each with a flag
    for name, age in (("old", 31), ("young", 29)):
        store.record_turn(new_turn(name).model_copy(update={"started_at": now - age * DAY_S}))
    store.log(LogEntry(game_id="g", kind="joined"))
    for name in ("old", "young", "never-told"):
        outcome = Outcome(turn_id=name, villager_id="ada", action="follow sam", verdict="done")
        store.record_outcomes("g", [outcome])
    store.drain()
    with closing(Database(settings.url)) as database, database.transaction() as session:
        told_long_ago = update(ActionRow).where(ActionRow.turn_id == "never-told").values(outcome_at=1.0)
        session.execute(told_long_ago)
    decided = next(flag for flag in store.list_flags("open") if flag.turn_id == "of-decided")
    store.decide_flag(FlagDecision(id=decided.id, state="approved", note="", who="me"))
    store.drain()
    told = db(settings.model_copy(update={"keep_days": 30}), "vacuum")
    assert told["deleted"] == 2
    assert set(turns_of(settings, "turns")) == {"of-open", "young"}
    assert set(turns_of(settings, "ratings")) == {"of-open"}
    assert set(turns_of(settings, "flags")) == {"of-open"}
    assert set(turns_of(settings, "actions")) == {"of-open", "young"}


def test_nothing_is_deleted_unless_a_term_is_set(store: Store, settings: StoreSettings) -> None:
    keep_all_of(store, "zoe")
    store.drain()
    before = store.counts()
    db(settings, "vacuum")
    assert store.counts() == before


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM turns WHERE game_id='g' AND villager_id='v' ORDER BY started_at DESC", "started_at"),
        (
            "SELECT * FROM turns WHERE adapter_hash='a' AND persona='p' AND started_at > 1",
            "persona_started_at",
        ),
        ("SELECT turn_id FROM turns WHERE started_at < 1 LIMIT 500", "started_at"),
        ("DELETE FROM turns WHERE game_id='g' AND player='p'", "game_id_player"),
        ("DELETE FROM engagement WHERE game_id='g' AND player='p'", "game_id_player"),
        ("SELECT id FROM engagement WHERE received_at < 1 LIMIT 500", "received_at"),
        ("SELECT id FROM demos WHERE received_at < 1 LIMIT 500", "received_at"),
        ("SELECT * FROM actions WHERE turn_id='t' ORDER BY position", "turn_id_position"),
        ("SELECT * FROM flags WHERE state='open' AND at < 9 ORDER BY at DESC", "state_at"),
    ],
)
def test_what_is_asked_often_has_an_index(tmp_path: Path, query: str, index: str) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    Database(url).migrate()
    with create_engine(url).connect() as connection:
        plan = " ".join(row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}")))
    assert "USING" in plan, plan
    assert f"{index} " in f"{plan} ".replace("(", " "), plan
