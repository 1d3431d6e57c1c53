"""Rows of promises kept or broken: how all that tries to break them prints and writes what came of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """How often something was tried, and what came of it.

    Attributes:
        survived: of those tried, how many ended as promised.
        lost: what was acknowledged and is not there, or is there twice.
        late: what came after its time.
        obeyed: what was done though it must not be.
    """

    name: str
    tried: int
    survived: int
    lost: int = 0
    late: int = 0
    obeyed: int = 0
    note: str = ""
    """For the reader of the table; not in the file."""

    @property
    def kept(self) -> bool:
        return self.survived == self.tried and not (self.lost or self.late or self.obeyed)


def print_row(console: Console, row: Row) -> None:
    """One row as soon as it is there."""
    told = f"{row.survived} of {row.tried}, lost {row.lost}, late {row.late}, obeyed {row.obeyed}"
    console.print(
        f"{row.name}: {told}{f' ({row.note})' if row.note else ''}", highlight=False, soft_wrap=True
    )


def print_rows(console: Console, title: str, rows: Sequence[Row]) -> None:
    """All of them, broken promises in red."""
    table = Table("", "tried", "survived", "lost", "late", "obeyed", "", title=title)
    for row in rows:
        counts = (row.tried, row.survived, row.lost, row.late, row.obeyed)
        table.add_row(row.name, *map(str, counts), row.note, style=None if row.kept else "red")
    console.print(table)


def write_rows(file: Path, rows: Sequence[Row]) -> None:
    """As `{"rows": [...]}`."""
    told = [{name: value for name, value in asdict(row).items() if name != "note"} for row in rows]
    file.write_text(json.dumps({"rows": told}, indent=1) + "\n", encoding="utf-8")
