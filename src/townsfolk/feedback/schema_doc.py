"""Writes docs/store.md from the tables' classes: python -m townsfolk.feedback.schema_doc > docs/store.md"""

from collections.abc import Iterator
from inspect import cleandoc

from sqlalchemy import Column, Table

from townsfolk.feedback.models import Base

HEAD = """\
# The store

Everything that happens, in SQLite (the default, `~/.townsfolk/townsfolk.db`) or PostgreSQL (`store.url`).
This page is generated from `src/townsfolk/feedback/models.py`, and a test keeps it up to date. To update it:
`python -m townsfolk.feedback.schema_doc > docs/store.md`.

A write is durable in the spool (`store.spool_dir`) before it is acknowledged. It reaches the tables moments
later, exactly once and in order; while the database is unavailable, the spool keeps it. Rows that the
database rejects for their content are set aside in `rejected.jsonl` beside the spool. A spool can only be
used by one process at a time.

Columns named `at`, `…_at` and `last_seen` are Unix time in seconds, except in `demos` and `engagement`,
where `at` is the game's own clock.
"""


def render() -> str:
    """The whole page, as Markdown."""
    mappers = sorted(Base.registry.mappers, key=lambda mapper: mapper.class_.__tablename__)
    return "\n".join([HEAD, *("\n".join(_table(mapper.class_)) for mapper in mappers)])


def _table(row: type[Base]) -> Iterator[str]:
    table = row.metadata.tables[row.__tablename__]
    yield f"## {table.name}\n\n{cleandoc(row.__doc__ or '')}\n\n| column | type | |\n|---|---|---|"
    yield from (_row(column) for column in table.columns)
    yield from ("", *_indexes(table)) if table.indexes else ()
    yield ""


def _row(column: "Column[object]") -> str:
    kind = str(column.type).lower() + (" or null" if column.nullable else "")
    key = "**key**; " if column.primary_key else ""
    refers = "".join(f"; refers to `{key.target_fullname}`" for key in column.foreign_keys)
    return f"| `{column.name}` | {kind} | {key}{column.doc}{refers} |"


def _indexes(table: Table) -> Iterator[str]:
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield f"Index on {', '.join(f'`{column.name}`' for column in index.columns)}."


if __name__ == "__main__":
    print(render(), end="")
