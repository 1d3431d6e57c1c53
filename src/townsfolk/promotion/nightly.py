"""Steps whose results are folders, so that a night that was cut off goes on where it was.

    FOLDER/DATE-TIME/{STEP/{…, result.json}, report.json, report.md}

A step is done when its `result.json` is there; a night, when its report is. It refuses to know what steps do.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from townsfolk.disk import locked, write_whole
from townsfolk.errors import InvalidRequest
from townsfolk.types import Message

RESULT, REPORT, PAGE = "result.json", "report.json", "report.md"
NAMES = f"{'[0-9]' * 8}-{'[0-9]' * 6}"
"""Of nights; whatever else lies in their home is somebody's."""
LEFT_AFTER_S = 36 * 3600
"""Well over a day: what was cut off is taken up by the next night, however late its timer fires."""


class Result(Message):
    """What a step came to."""

    figures: Mapping[str, str | int | float | bool | None] = {}
    end: str = ""
    """Why the night is over with this step; empty: it goes on."""
    seconds: float = 0


@dataclass(frozen=True)
class Step:
    """One step of a night.

    Attributes:
        run: does it; is given the step's folder, where it leaves what later steps need.
        continues: it takes up what it left in its folder when it was cut off; else it begins anew.
    """

    name: str
    run: Callable[[Path], Result]
    continues: bool = False


@dataclass(frozen=True)
class Night:
    """All steps, for one persona.

    Attributes:
        folder: of this night; each step's folder is in it.
        told: called with the name of each step that begins.
    """

    persona: str
    folder: Path
    steps: Sequence[Step]
    told: Callable[[str], None] = field(default=lambda step: None)

    def run(self) -> dict[str, Any]:
        """Do what is not done yet; gives the report. Errors of a step leave the night to be gone on with."""
        results: dict[str, Result] = {}
        for step in self.steps:
            results[step.name] = result = self._once(step)
            if result.end:
                break
        return self._report(results)

    def _once(self, step: Step) -> Result:
        folder = self.folder / step.name
        done = folder / RESULT
        if done.exists():
            return Result.model_validate_json(done.read_bytes())
        if not step.continues:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.told(step.name)
        began = time.monotonic()
        result = step.run(folder)
        result = result.model_copy(update={"seconds": round(time.monotonic() - began, 1)})
        write_whole(done, result.model_dump_json().encode())
        return result

    def _report(self, results: Mapping[str, Result]) -> dict[str, Any]:
        *_, last = results.values()
        report = {
            "persona": self.persona,
            "night": self.folder.name,
            "outcome": last.end or "promoted",
            "steps": {name: result.model_dump() for name, result in results.items()},
        }
        write_whole(self.folder / PAGE, "\n".join(_page(report)).encode())
        write_whole(self.folder / REPORT, json.dumps(report, indent=1).encode())
        return report


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the home of all personas' nights: two at once would each take twice as long.

    Raises:
        InvalidRequest: another process is at it.
    """
    try:
        with locked(home / ".lock", wait=False):
            yield
    except BlockingIOError as error:
        raise InvalidRequest(f"{home} is in use: another townsfolk nightly runs; wait for it") from error


def night_folder(home: Path, keep: int) -> Path:
    """The folder of the persona's night that is not over yet, else of a new one.

    A night that can't come to its end is left after `LEFT_AFTER_S`: its data is old, and its fault may be in
    it. Of those before, the last `keep` stay: what players said is in them.
    """
    nights = sorted(folder.name for folder in home.glob(NAMES) if folder.is_dir())
    name = nights[-1] if nights else ""
    if name <= _named(time.time() - LEFT_AFTER_S) or (home / name / REPORT).exists():
        name = _named(time.time())
    for old in nights[:-keep]:
        shutil.rmtree(home / old)
    return home / name


def _named(at: float) -> str:
    """Later nights have later names."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(at))


def _page(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {report['persona']}, night of {report['night']}"
    yield f"\nOutcome: **{report['outcome']}**\n"
    yield "| step | seconds | figures |"
    yield "|---|---|---|"
    for name, result in report["steps"].items():
        figures = ", ".join(f"{key} {_told(value)}" for key, value in result["figures"].items())
        yield f"| {name} | {result['seconds']:g} | {figures} |"
    yield ""


def _told(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
