"""Evaluation reports: the JSON that `townsfolk eval --json` wrote, as pages.

It refuses to reckon: figures and bars come as told.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from pydantic import TypeAdapter, ValidationError

from townsfolk.console.desk import AtDesk, Desk
from townsfolk.console.render import page
from townsfolk.console.security import Viewer
from townsfolk.errors import InvalidRequest, UnknownName
from townsfolk.types import Report

MAX_REPORT_BYTES = 50_000_000
SHARES = frozenset(
    {"tags", "action", "action_asked", "action_unasked", "target", "persona", "persona_one_line", "grounded"}
    | {"echo", "refused", "repetition", "vocabulary", "distinct"}
)
"""Figures between 0 and 1: drawn as bars."""
router = APIRouter()
_reports = TypeAdapter(Report)


@dataclass(frozen=True)
class Entry:
    """A report in the list; `report` is None where `fault` says why it can't be read."""

    name: str
    at: float
    report: Report | None = None
    fault: str = ""


def read_report(file: Path) -> Report:
    """Raises InvalidRequest: it can't be read."""
    try:
        if file.stat().st_size > MAX_REPORT_BYTES:
            raise InvalidRequest(f"{file}: is over {MAX_REPORT_BYTES:,} bytes, which no report is")
        return _reports.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise InvalidRequest(
            f"{file}: is no report ({error}): write it with townsfolk eval --json"
        ) from error


def _entry(name: str, file: Path) -> Entry:
    at = file.stat().st_mtime if file.exists() else 0
    try:
        return Entry(name, at, read_report(file))
    except InvalidRequest as error:
        return Entry(name, at, fault=str(error))


def _entries(files: Mapping[str, Path]) -> list[Entry]:
    return sorted((_entry(*item) for item in files.items()), key=lambda entry: -entry.at)


async def _file(desk: Desk, name: str) -> Path:
    files = await desk.reports()
    if name not in files:
        raise UnknownName(f"there is no report {name!r}: the list of reports names them")
    return files[name]


@router.get("/reports")
async def all_reports(request: Request, desk: AtDesk, session: Viewer) -> Response:
    return page(request, "reports", session, entries=await asyncio.to_thread(_entries, await desk.reports()))


@router.get("/reports/{name}")
async def one(request: Request, desk: AtDesk, session: Viewer, name: str) -> Response:
    file = await _file(desk, name)
    report, kinds = await asyncio.to_thread(read_report, file), ["json"]
    if file.with_suffix(".html").is_file():
        kinds.append("html")
    bars = report.bars_by_figure()
    return page(request, "report", session, name=name, report=report, bars=bars, shares=SHARES, kinds=kinds)


@router.get("/reports/{name}/{kind}")
async def file(desk: AtDesk, name: str, kind: Literal["json", "html"]) -> Response:
    """To be kept: the page of `townsfolk eval --html` has its styles in itself, which none of ours may."""
    found = (await _file(desk, name)).with_suffix(f".{kind}")
    if not found.is_file():
        raise UnknownName(f"{found} is not there: write it with townsfolk eval --{kind}")
    return FileResponse(found, filename=f"{name}.{kind}")
