"""The database: opening it, bringing its schema up to date, transactions.

Errors of SQLAlchemy that mean "not now" (away, locked, read-only, full) become StoreError here; what
one row is to blame for is left to the applier. Refuses to know what the rows mean.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from townsfolk.errors import ConfigError, StoreError

BUSY_TIMEOUT_S = 5
MIGRATION_LOCK = 6_010_201
"""PostgreSQL knows locks of this kind by a number alone: any that nobody else takes in this database."""
MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """A database that need not be there yet: nothing is opened before the first transaction.

    Raises:
        ConfigError: `url` names no SQLite or PostgreSQL database, or its driver is missing.
    """

    def __init__(self, url: str) -> None:
        self._engine = _make_engine(_parse(url))
        self.url = self._engine.url
        self.name = self.url.render_as_string(hide_password=True)

    def migrate(self) -> None:
        """Bring the schema up to the newest version; data stays.

        Raises:
            StoreError: the database is away, or newer than this program.
        """
        config = Config(attributes={})
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        try:
            self._make_folder()
            with self._engine.begin() as connection:
                if self.url.get_backend_name() == "postgresql":  # services and audit may start together
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                f"database {self.name} has a schema that this version does not know ({error}): "
                "upgrade townsfolk, or name another store.url"
            ) from error
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"database {self.name} can't be brought up to date: {_cause(error)}") from error

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits at the end.

        Raises:
            StoreError: the database is away, locked, read-only or full.
            sqlalchemy.exc.IntegrityError, DataError: it refuses a row for its content.
        """
        try:
            with Session(self._engine) as session, session.begin():
                yield session
        except (IntegrityError, DataError):
            raise
        except SQLAlchemyError as error:
            raise StoreError(f"database {self.name} can't be used: {_cause(error)}") from error

    def forget_connections(self) -> None:
        """Connect anew next time: SQLite's that found a file read-only stay so when it no longer is."""
        self._engine.dispose()

    def version(self) -> str:
        """Of the schema; empty: there is none yet. Raises StoreError: the database is away."""
        self._make_folder()
        with self.transaction() as session:
            return MigrationContext.configure(session.connection()).get_current_revision() or ""

    def require_newest(self) -> None:
        """Raises StoreError: the schema is another than this program's, which knows no other's tables."""
        version, newest = self.version(), ScriptDirectory(str(MIGRATIONS)).get_current_head()
        if version != newest:
            raise StoreError(
                f"database {self.name} has schema {version or 'none'}, this townsfolk knows {newest}: "
                "use the version that the service runs, or townsfolk db migrate"
            )

    def vacuum(self) -> None:
        """Give the room of deleted rows back and tell the planner what there is.

        Raises:
            StoreError: the database is away, or in use for too long.
        """
        try:
            if self.url.get_backend_name() == "sqlite":
                self._vacuum_sqlite()
            else:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.exec_driver_sql("VACUUM (ANALYZE)")
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreError(f"database {self.name} can't be vacuumed: {_cause(error)}") from error

    def _vacuum_sqlite(self) -> None:
        """On the driver's own connection: SQLAlchemy's begins a transaction, where VACUUM is refused."""
        with closing(self._engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
            for statement in ("VACUUM", "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"):
                cursor.execute(statement)

    def close(self) -> None:
        self._engine.dispose()

    def _make_folder(self) -> None:
        file = self._engine.url.database or ""
        if self._engine.dialect.name == "sqlite" and not file.startswith("file:"):
            Path(file).parent.mkdir(parents=True, exist_ok=True)


class Reader:
    """Reads a store's tables beside a service that runs, without its spool.

    Raises:
        ConfigError: `url` names no database that can be used.
        StoreError: the database is away, or newer than this program.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._database.migrate()

    def close(self) -> None:
        self._database.close()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(  # what it is, is told nobody: it may hold a password
            "store.url is no database URL: use sqlite:////path/to/file.db or postgresql+psycopg://user@host/name"
        ) from error
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(
            f"store.url names a {parsed.get_backend_name()!r} database: use sqlite:///… or postgresql://…"
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError(f"store.url {url!r} keeps nothing: name a file, sqlite:////path/to/file.db")
    return parsed


def _make_engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() == "postgresql":
            from townsfolk.feedback.postgres import make_postgres_engine

            return make_postgres_engine(url)
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise ConfigError(
            f"store.url needs a driver that is not installed ({error}): pip install 'townsfolk[postgres]'"
        ) from error
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _set_up_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # sqlite3 would begin on its own, and never before a CREATE TABLE
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _cause(error: Exception) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error).strip()
