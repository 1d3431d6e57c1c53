"""What a service has stored, read from beside it.

Knows the tables' names and opens the database read-only; knows nothing of how rows get there.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

TABLES = ("games", "turns", "actions", "ratings", "engagement", "memories")


def count_rows(database: Path) -> dict[str, int]:
    """Rows by table, and the ratings by their value as well; empty while there is no database."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            rows = {table: _count(connection, table) for table in TABLES}
            rows["ratings up"] = _count(connection, "ratings", "value = 1")
            rows["ratings down"] = _count(connection, "ratings", "value = -1")
            return rows
    except sqlite3.OperationalError:
        return {}


def _count(connection: sqlite3.Connection, table: str, where: str = "1") -> int:
    found = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()  # noqa: S608 - own names
    return int(found[0])
