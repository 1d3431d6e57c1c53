"""Breaks the running service in every way it may break, and says what was lost.

scripts/chaos [--quick] [--json FILE] [--only ROW,ROW] [--kills 100] [--outage-seconds 60] [--seed 0]

Rows: the service seen from a real game (killed, hung, slow, garbage, error, half), a game that is killed, the
store's database and disk taken away, kill -9 at random moments of the service, of the game while items change
hands. `--quick` is a tenth of it.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from bench.chaos import items, kills, outages, store, training
from bench.promises import Row, print_row, print_rows, write_rows

WIDTH = 120
OWN_MOUNTS = "TOWNSFOLK_CHAOS_OWN_MOUNTS"
QUICK_KILLS, QUICK_OUTAGE_S = 10, 3.0


@dataclass(frozen=True)
class Options:
    """The command line, checked.

    Attributes:
        kills: of the service, shared by the rows that kill it; of the game, a quarter as many.
        outage_s: how long a database or a disk is away.
    """

    kills: int
    outage_s: float
    seed: int
    only: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """Run the rows, print each as it comes and all of them at the end; 0 where every promise was kept."""
    options, file = _parse(arguments)
    console, rows = Console(width=WIDTH), []
    with tempfile.TemporaryDirectory(prefix="townsfolk-chaos-") as folder:
        for row in _rows(options, Path(folder)):
            rows.append(row)
            print_row(console, row)
    print_rows(console, "chaos", rows)
    if file:
        write_rows(file, rows)
    return 0 if all(row.kept for row in rows) else 1


def _rows(options: Options, home: Path) -> Iterator[Row]:
    away = tuple(name for name in outages.OUTAGES if name in options.only)
    if away:
        yield from outages.service_outages(home / "outages", away)
    for name, make in _single_rows(options).items():
        if name in options.only:
            yield make(home / name)


def _single_rows(options: Options) -> dict[str, Callable[[Path], Row]]:
    """By name, in the order in which they are run."""
    share = partial(_share, options)
    return {
        "game_killed": outages.game_killed,
        "sqlite_locked": partial(store.sqlite_locked, seconds=options.outage_s),
        "sqlite_read_only": _with_mounts("sqlite_read_only", store.sqlite_read_only, options),
        "postgres_stopped": partial(store.postgres_stopped, seconds=options.outage_s),
        "postgres_frozen": partial(store.postgres_frozen, seconds=options.outage_s),
        "disk_full": _with_mounts("disk_full", store.disk_full, options),
        "killed_serving": share(kills.killed_serving, 0),
        "killed_swap": share(kills.killed_swap, 1),
        "killed_promotion": share(kills.killed_promotion, 2),
        "killed_training": share(training.killed_training, 3),
        "items_killed": share(items.items_killed, 4),
    }


def _share(
    options: Options, row: Callable[[Path, int, random.Random], Row], number: int
) -> Callable[[Path], Row]:
    """The row with its quarter of the kills, the first with one more where they can't be shared evenly."""
    rounds = (options.kills + 3 - number) // 4
    return lambda folder: row(folder, rounds, random.Random(options.seed + number))


def _with_mounts(name: str, row: Callable[[Path, float], Row], options: Options) -> Callable[[Path], Row]:
    """The row in a mount namespace of its own, where disks can be mounted that nobody else sees."""
    if os.environ.get(OWN_MOUNTS):
        return lambda folder: row(folder, options.outage_s)

    def run(folder: Path) -> Row:
        file = folder.with_suffix(".json")
        who = [] if os.geteuid() == 0 else ["--map-root-user"]
        command = ["unshare", *who, "--mount", sys.executable, "-m", "bench.chaos", "--only", name]
        command += ["--outage-seconds", str(options.outage_s), "--json", str(file)]
        own = {**os.environ, OWN_MOUNTS: "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=own, capture_output=True, text=True)
        if not file.is_file():
            raise ChildProcessError(f"{name} has not come to its end: {done.stderr[-2_000:]}")
        return Row(**json.loads(file.read_text())["rows"][0])

    return run


NAMES = (*outages.OUTAGES, *_single_rows(Options(0, 0, 0, ())))


def _parse(arguments: Sequence[str]) -> tuple[Options, Path | None]:
    parser = argparse.ArgumentParser(prog="scripts/chaos")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    parser.add_argument("--kills", type=int, help="kill -9, in all (100)")
    parser.add_argument("--outage-seconds", type=float, help="how long databases and disks are away (60)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which it kills")
    parser.add_argument("--only", default=",".join(NAMES), help="rows to run, by name")
    values = parser.parse_args(arguments)
    only = tuple(filter(None, values.only.split(",")))
    if unknown := set(only) - set(NAMES):
        parser.error(f"--only has no {', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    told = values.kills or (QUICK_KILLS if values.quick else 100)
    seconds = values.outage_seconds or (QUICK_OUTAGE_S if values.quick else 60.0)
    return Options(told, seconds, values.seed, only), values.json


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
