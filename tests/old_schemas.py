"""Databases as earlier releases left them, with rows in every table, brought up to date."""

from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Boolean, Column, Connection, Float, Integer, MetaData, String, Table, create_engine
from sqlalchemy.types import JSON

from townsfolk.feedback.database import MIGRATIONS, Database

ROWS = 3
MOVED = {"audit_flags": "flags"}
"""Tables that have another name now."""
OURS = "alembic_version"
Rows = dict[str, list[dict[str, Any]]]


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


REVISIONS = [
    script.revision for script in reversed([*ScriptDirectory.from_config(alembic_config()).walk_revisions()])
]
"""Of all releases, the oldest first."""


def keeps_rows_from(revision: str, url: str) -> None:
    """Assert that rows of this revision's schema, in an empty database, are all there in today's."""
    database = Database(url)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        _fill(connection)
        before = _rows(connection)
    database.migrate()
    database.close()
    with engine.connect() as connection:
        after = _rows(connection)
    engine.dispose()
    for name, rows in before.items():
        kept = after[MOVED.get(name, name)]
        assert len(rows) == ROWS
        assert [{column: _told(row[column]) for column in rows[0]} for row in kept] == [
            {column: _told(value) for column, value in row.items()} for row in rows
        ], name


def _fill(connection: Connection) -> None:
    for table in _tables(connection):
        for number in range(ROWS):
            values = {column.name: _value(column, number) for column in table.columns}
            connection.execute(table.insert().values(values))


def _value(column: Column[Any], number: int) -> object:
    """Keys that refer to another table's have its name, so they find their row."""
    if isinstance(column.type, Boolean):
        return number % 2 == 0
    if isinstance(column.type, JSON):
        return [number]
    if isinstance(column.type, Float):
        return number + 0.5
    if isinstance(column.type, Integer):
        return number + 1
    assert isinstance(column.type, String), f"{column}: no value for {column.type!r}"
    return f"{column.name}{number}"[-(column.type.length or 64) :]


def _rows(connection: Connection) -> Rows:
    """By table, in the order of their first columns."""
    return {
        table.name: [
            dict(row._mapping) for row in connection.execute(table.select().order_by(*table.primary_key))
        ]
        for table in _tables(connection)
    }


def _tables(connection: Connection) -> list[Table]:
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != OURS]


def _told(value: object) -> str:
    """A key may have become a text."""
    return str(value)
