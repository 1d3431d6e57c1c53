"""`townsfolk eval`: how well villagers do, as they are served."""

import json as jsonlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import TaskID
from rich.table import Table

from townsfolk.cli.options import ADAPTERS, DATA, ConfigFile, adapter_folders, progress_bars
from townsfolk.config import load_settings

if TYPE_CHECKING:
    from townsfolk.types import Bar, Figures, Report

SHOWN = (
    "tags",
    "tags_free",
    "action",
    "target",
    "persona",
    "grounded",
    "echo",
    "injections_obeyed",
    "words",
    "latency_ms",
    "kl",
)
COUNTS = ("injections_obeyed", "words", "latency_ms", "kl")
"""Figures that are no shares."""


def evaluate(
    adapters: Annotated[list[str] | None, ADAPTERS] = None,
    parents: Annotated[
        list[str] | None, typer.Option(help="The same for what the adapters were trained from.")
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="A dataset: its held-out rows are the suite held_out.")
    ] = None,
    suite: Annotated[
        list[Path] | None, typer.Option(help="A file of scenarios, instead of ours. May be repeated.")
    ] = None,
    data: Annotated[Path, typer.Option(help="The folder of names/, dialogue/, scenarios/.")] = DATA,
    json: Annotated[Path | None, typer.Option("--json", help="Write the report to this file.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report as a page.")] = None,
    each: Annotated[
        Path | None, typer.Option(help="Write the figures of each persona to PERSONA/evaluation.json there.")
    ] = None,
    peers: Annotated[
        str, typer.Option(help="base, base_aided, gemma3_270m, gemma3_270m_aided, with commas, or none.")
    ] = "base",
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most this many scenarios per persona and suite.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Evaluate personas as shipped, or with --adapters, as served; exit status 1 if a bar is missed."""
    from townsfolk.serving.evaluate import Plan
    from townsfolk.serving.evaluate import evaluate as run
    from townsfolk.training.evaluation.page import page

    plan = Plan(
        adapters=adapter_folders(adapters or []),
        parents=adapter_folders(parents or []),
        data=data,
        dataset=dataset,
        suites=tuple(suite or ()),
        peers=tuple(name for name in peers.split(",") if name and name != "none"),
        limit=limit,
    )
    for file in filter(None, (json, html)):
        file.parent.mkdir(parents=True, exist_ok=True)
    with progress_bars() as bars:
        tasks: dict[str, TaskID] = {}

        def told(who: str, done: int, total: int) -> None:
            if who not in tasks:
                tasks[who] = bars.add_task(who, total=total)
            bars.update(tasks[who], completed=done)

        found = run(load_settings(config), plan, told)
    if json:
        _write(found, json)
    if html:
        html.write_text(page(found), encoding="utf-8")
    if each:
        _write_each(found, each)
    _print(found)
    raise typer.Exit(int(not found.held))


def _write(found: "Report", file: Path) -> None:
    file.write_text(jsonlib.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")


def _write_each(found: "Report", folder: Path) -> None:
    from townsfolk.training.evaluation.report import of_persona

    for persona in sorted({persona for own in found.suites.values() for persona in own}):
        file = folder / persona / "evaluation.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(of_persona(found, persona), file)


def _print(found: "Report") -> None:
    console = Console()
    for suite, own in found.suites.items():
        table = Table("", "bar", *own, title=suite)
        bars = {(bar.metric, bar.persona): bar for bar in found.bars if bar.suite == suite}
        for metric in SHOWN:
            if any(metric in figures for figures in own.values()):
                least = next(
                    (_told(bar.bar, metric) for (name, _), bar in bars.items() if name == metric), ""
                )
                cells = (_cell(figures, metric, bars.get((metric, it))) for it, figures in own.items())
                table.add_row(metric, least, *cells)
        console.print(table)
    told = f"{sum(bar.held for bar in found.bars)} of {len(found.bars)} bars are held"
    console.print(told, style="green" if found.held else "red")


def _cell(figures: "Figures", metric: str, bar: "Bar | None") -> str:
    """The figure, and below it how far it is ahead of each peer."""
    if metric not in figures:
        return ""
    text = _told(figures[metric], metric)
    if bar is None:
        return text
    color = "green" if bar.held else "red"
    margins = (f"{_told(margin, metric, '+')} {peer}" for peer, margin in bar.margins.items())
    return "\n".join((f"[{color}]{text}[/{color}]", *margins))


def _told(value: float, metric: str, sign: str = "") -> str:
    return f"{value:{sign}.3g}" if metric in COUNTS else f"{value:{sign}.1%}"
