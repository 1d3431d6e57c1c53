"""The schema: migrations and classes agree, old databases come up to date, the page is true."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from old_schemas import REVISIONS, alembic_config, keeps_rows_from
from townsfolk.errors import ConfigError, StoreError
from townsfolk.feedback.database import Database
from townsfolk.feedback.models import Base
from townsfolk.feedback.review import list_flags
from townsfolk.feedback.schema_doc import render


def test_migrations_make_what_the_classes_say(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a b%20.db'}"
    database = Database(url)
    database.migrate()
    database.migrate()
    with create_engine(url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    database.close()


def test_rows_of_the_first_version_stay(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    config = alembic_config()
    with create_engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO turns VALUES ('t1', 'g', 'ada', 'guard', '', 'sam', 'context', 'reply', "
                "1.5, 0, 0, 0, 10, 4, 5, 'stop')"
            )
        )
        connection.execute(text("INSERT INTO ratings VALUES ('t1', 'sam', 1, 'good', 2.5)"))
        connection.execute(text("INSERT INTO audit_flags VALUES (7, 'g', 'ada', 't1', 'lava', 'no', 3.5)"))
    database = Database(url)
    database.migrate()
    with database.transaction() as session:
        assert session.execute(text("SELECT turn_id, reply, started_at FROM turns")).one() == (
            "t1",
            "reply",
            1.5,
        )
        assert session.execute(text("SELECT value, comment FROM ratings")).one() == (1, "good")
        (flag,) = list_flags(session, "open", 10, before=4)
        assert (flag.id, flag.turn_id, flag.at, flag.evidence) == ("7", "t1", 3.5, ())
    database.close()


@pytest.mark.parametrize("revision", REVISIONS)
def test_rows_of_every_released_schema_stay(revision: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    keeps_rows_from(revision, url)


def test_migrations_are_one_line_of_descent() -> None:
    script = ScriptDirectory.from_config(alembic_config())
    assert len(script.get_heads()) == 1
    assert script.get_bases() == ["0001"]


def test_newer_database_is_refused(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    database.migrate()
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="upgrade townsfolk"):
        database.migrate()
    database.close()


def test_sqlite_is_set_up_to_lose_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with database.transaction() as session:
        pragmas = [
            session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert pragmas == ["wal", 2, 1, 5000]
    database.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:"])
def test_unusable_url_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match=r"store\.url"):
        Database(url)


def test_password_is_not_told() -> None:
    assert "secret" not in Database("postgresql://user:secret@127.0.0.1/db").name


def test_page_is_true() -> None:
    page = Path(__file__).parents[2] / "docs" / "store.md"
    assert page.read_text(encoding="utf-8") == render(), (
        "run python -m townsfolk.feedback.schema_doc > docs/store.md"
    )
