"""What a selftest found: a transcript, checks with their timings, positions and stored rows.

Knows how it is written down and printed; knows nothing of how it was found.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from townsfolk.types import Position

MARKS = {"you": "cyan", "villager": "green", "game": "dim"}


class Line(BaseModel):
    """A line of the transcript."""

    at: float
    """Seconds since the selftest began."""
    who: Literal["you", "villager", "game"]
    text: str


class Check(BaseModel):
    """One thing that must hold."""

    name: str
    held: bool
    seconds: float
    told: str = ""
    """What was measured, or why it did not hold."""


class Reply(BaseModel):
    villager: str
    asked: str
    answered: str
    seconds: float


class Sight(BaseModel):
    """Where somebody was at a moment that mattered."""

    moment: str
    name: str
    position: Position


class Report(BaseModel):
    """The whole selftest, as `--json` writes it."""

    held: bool = False
    seconds: float = 0
    checks: list[Check] = Field(default_factory=list)
    replies: list[Reply] = Field(default_factory=list)
    positions: list[Sight] = Field(default_factory=list)
    timings: dict[str, float] = Field(default_factory=dict)
    """Seconds."""
    memory_mb: int = 0
    """The most that the service held before it was killed."""
    rows: dict[str, int] = Field(default_factory=dict)
    """Table of the store -> rows found."""
    transcript: list[Line] = Field(default_factory=list)

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def print_line(console: Console, line: Line) -> None:
    """One line of the transcript, as it happens."""
    console.print(f"[dim]{line.at:6.1f}[/] [{MARKS[line.who]}]{escape(line.text)}[/]", highlight=False)


def print_check(console: Console, check: Check) -> None:
    mark = "[bold green]held[/]" if check.held else "[bold red]NOT HELD[/]"
    console.print(
        f"       {mark} {escape(check.name)} ({check.seconds:.1f} s) {escape(check.told)}", highlight=False
    )


def print_summary(console: Console, report: Report) -> None:
    """Checks, replies, timings and rows as tables, and the verdict."""
    console.rule("selftest")
    console.print(_checks(report))
    console.print(
        _two_columns("timing", "seconds", {name: f"{value:.2f}" for name, value in report.timings.items()})
    )
    console.print(_two_columns("table", "rows", {name: str(count) for name, count in report.rows.items()}))
    missed = sum(not check.held for check in report.checks)
    if report.held:
        console.print(f"[bold green]all {len(report.checks)} held[/] in {report.seconds:.0f} s")
    else:
        console.print(f"[bold red]{missed} of {len(report.checks)} did not hold[/] in {report.seconds:.0f} s")


def _checks(report: Report) -> Table:
    table = Table("must hold", "", "seconds", "what was seen")
    for check in report.checks:
        mark = "[green]yes[/]" if check.held else "[red]NO[/]"
        table.add_row(escape(check.name), mark, f"{check.seconds:.1f}", escape(check.told))
    return table


def _two_columns(left: str, right: str, values: dict[str, str]) -> Table:
    table = Table(left, right)
    for name, value in values.items():
        table.add_row(name, value)
    return table
