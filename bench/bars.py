"""What a row is, the bars that rows are held to, and how both are printed. Measures nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

Row = dict[str, Any]
"""A line of the result: `name`, then figures by name, None where one does not apply."""
Rows = Mapping[str, Row]
"""All rows measured so far, by name."""

FIGURES = ("ours_ms", "ours_p99_ms", "limit_ms", "llamacpp_ms", "peft_ms", "ort_ms")
"""What each row has, measured or None."""
SERVER_STEP_MS = 90.0
GUIDE_MS = {"decide_http_1": 3.8, "decide_http_10": 8.3}
"""What the guide promises for one villager and for ten; shown beside ours, no bar."""


@dataclass(frozen=True)
class Bar:
    """`figure` of row `row`, as it is or divided by `over`, is to be within `bound`.

    Attributes:
        over: a figure of the same row, or of another as `row.figure`; empty: nothing.
        at_least: it is to be `bound` or more; else `bound` or less.
    """

    row: str
    figure: str
    over: str
    bound: float
    at_least: bool = False

    def value(self, rows: Rows) -> float | None:
        """None while one of the two is not measured."""
        other, _, figure = self.over.rpartition(".")
        above = rows[self.row].get(self.figure)
        below = rows.get(other or self.row, {}).get(figure) if self.over else 1.0
        return above / below if above is not None and below else None

    def holds(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def verdict(self, rows: Rows) -> str:
        """As it is printed: "ours_ms / limit_ms 1.42 (at most 1.5): holds"."""
        value = self.value(rows)
        what = f"{self.figure} / {self.over}" if self.over else self.figure
        if value is None:
            return f"{what}: not measured"
        rule = f"at {'least' if self.at_least else 'most'} {self.bound:g}"
        return f"{what} {value:.2f} ({rule}): {'holds' if self.holds(value) else 'missed'}"


def _faster(row: str, peer: str, times: float) -> Bar:
    return Bar(row, f"{peer}_ms", "ours_ms", times, at_least=True)


BARS = (
    Bar("decode_1", "ours_ms", "limit_ms", 1.5),
    _faster("decode_1", "llamacpp", 1.5),
    Bar("decode_10", "ours_ms", "limit_ms", 1.8),
    _faster("decode_10", "llamacpp", 6),
    _faster("decode_10", "peft", 25),
    Bar("decode_10", "ours_ms", "decode_10_no_adapters.ours_ms", 1.25),
    Bar("decode_32", "ours_ms", "limit_ms", 2),
    _faster("prefill_128", "llamacpp", 2.5),
    Bar("decide_http_10_new24", "ours_p99_ms", "", SERVER_STEP_MS),
    Bar("memory_32", "rss_mb", "", 600),
    Bar("memory_32_kv_8_bits", "rss_mb", "", 600),
    Bar("swap", "failed", "", 0),
    Bar("swap", "ours_p99_ms", "calm_p99_ms", 1.5),
)


def row_of(name: str, **figures: float | None) -> Row:
    """A row with all FIGURES, None where not among `figures`, which may be more."""
    return {"name": name} | dict.fromkeys(FIGURES) | figures


def spread(seconds: Sequence[float]) -> dict[str, float | None]:
    """Median and 99th percentile in ms, as a row has them; None where nothing was timed."""
    if not seconds:
        return {"ours_ms": None, "ours_p99_ms": None}
    median, p99 = np.percentile(seconds, (50, 99))
    return {"ours_ms": 1e3 * float(median), "ours_p99_ms": 1e3 * float(p99)}


def verdicts(name: str, rows: Rows) -> Iterator[str]:
    """What is to be said of row `name`, one line a bar that applies."""
    yield from (bar.verdict(rows) for bar in BARS if bar.row == name)


def print_row(console: Console, row: Row, rows: Rows) -> None:
    """One row as soon as it is measured: its figures, then its bars."""
    figures = (f"{key} {value:.2f}" for key, value in row.items() if isinstance(value, float | int))
    console.print(f"[bold]{row['name']}[/]  {', '.join(figures)}", highlight=False, soft_wrap=True)
    for verdict in verdicts(row["name"], rows):
        console.print(f"    {verdict}", highlight=False, style="red" if verdict.endswith("missed") else None)


def print_table(console: Console, rows: Rows) -> None:
    """All rows: medians in ms, and whether each bar holds."""
    table = Table("row", *(f.removesuffix("_ms") for f in FIGURES), "guide", "bars", title="median ms")
    for name, row in rows.items():
        times = (row[figure] for figure in FIGURES)
        bars = ", ".join(verdict.rpartition(" ")[2] for verdict in verdicts(name, rows))
        table.add_row(name, *map(_cell, times), _cell(GUIDE_MS.get(name)), bars)
    console.print(table)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
