"""A run's folder: what it was told, its log as it comes, its curves at the end. Any stage writes it so.

    settings.json  log.jsonl  curves.png  checkpoints/  adapter/  manifest.json

It refuses to know what the figures mean.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from townsfolk.errors import ConfigError
from townsfolk.training.stages.config import RunConfig
from townsfolk.training.stages.curves import draw_curves
from townsfolk.training.stages.trackers import open_trackers

SETTINGS, LOG, CURVES, CHECKPOINTS = "settings.json", "log.jsonl", "curves.png", "checkpoints"
ADAPTER, MANIFEST = "adapter", "manifest.json"
FREE = ("threads", "log_steps", "save_steps", "trackers", "run_name")
"""Settings that may change when a run is continued: they change nothing that is learnt."""


class Run:
    """A run under way; of several processes only the first writes.

    Attributes:
        checkpoints: the folder to keep checkpoints in.
    """

    def __init__(self, config: RunConfig, quiet: bool = False) -> None:
        self._config, self._quiet, self._writes = config, quiet, is_main_process()
        self._folder = config.output_dir
        self.checkpoints = self._folder / CHECKPOINTS
        self._trackers: list[Any] = []
        self._began, self._first = time.monotonic(), 0

    def log(self, step: int, steps: int, **figures: float) -> None:
        """Write one line: a step out of `steps`, and its figures; memory and time left come by themselves."""
        if not self._writes:
            return
        left = self._seconds_left(step, steps)
        line = {"step": step, **figures, "rss_mb": peak_memory_mb(), "seconds": round(self._seconds(), 2)}
        with (self._folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for tracker in self._trackers:
            tracker.log(figures, step=step)
        if not self._quiet:
            told = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
            print(
                f"step {step}/{steps}  {told}  {line['rss_mb']:.0f} MB  {_minutes(left)} left",
                file=sys.stderr,
            )

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _seconds_left(self, step: int, steps: int) -> float:
        """From the pace of this process, which may have begun at a later step than the run."""
        done = step - self._first
        return self._seconds() / done * (steps - step) if done > 0 else 0.0

    def continue_from(self, step: int) -> None:
        """Forget what was logged after `step`: it will be done, and logged, again."""
        self._first = step
        if not self._writes:
            return
        log = self._folder / LOG
        kept = [line for line in read_log(log) if line["step"] <= step]
        _replace(log, "".join(json.dumps(line) + "\n" for line in kept))

    def open(self) -> None:
        """Raises ConfigError: the folder holds a finished run, or one with other settings."""
        if (self._folder / MANIFEST).exists():
            raise ConfigError(f"{self._folder} holds a finished run: give another output_dir")
        if not self._writes:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        settings, told = self._folder / SETTINGS, self._config.flat()
        if settings.exists():
            _refuse_other(self._folder, json.loads(settings.read_text(encoding="utf-8")), told)
        _replace(settings, json.dumps(told, indent=1) + "\n")
        self._trackers = open_trackers(self._config.trackers, self._config.name, self._folder, told)

    def close(self) -> None:
        for tracker in self._trackers:
            tracker.finish()
        if self._writes:
            draw_curves(read_log(self._folder / LOG), self._folder / CURVES)


@contextmanager
def open_run(config: RunConfig, quiet: bool = False) -> Iterator[Run]:
    """The run of `config`, its folder made, its curves drawn at the end, however it ends."""
    run = Run(config, quiet)
    run.open()
    try:
        yield run
    finally:
        run.close()


def read_log(file: Path) -> list[dict[str, float]]:
    """Lines of a log; one that a crash cut short is left out."""
    if not file.exists():
        return []
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def peak_memory_mb() -> float:
    """Of this process, in MB of a million bytes; 0 where the system does not tell."""
    try:
        fields = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    kilobytes = next((line.split()[1] for line in fields if line.startswith("VmHWM:")), "0")
    return round(int(kilobytes) * 1024 / 1e6, 1)


def is_main_process() -> bool:
    """Whether this is the one of several processes that writes files."""
    return int(os.environ.get("RANK", "0")) == 0


def _replace(file: Path, text: str) -> None:
    """In one step: a run that is killed meanwhile can be continued."""
    fresh = file.with_suffix(".tmp")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


def _refuse_other(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [key for key in now if key not in FREE and before.get(key) != now[key]]
    if changed:
        told = ", ".join(f"{key} {before.get(key)!r} -> {now[key]!r}" for key in changed)
        raise ConfigError(f"{folder} holds a run with other settings ({told}): give another output_dir")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
