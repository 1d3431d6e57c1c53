"""All rows of the engine's bench: passes against the peers, then the service over HTTP.

scripts/bench engine [--json FILE] [--only ROW,ROW] [--rounds 20] [--threads 2] [--peers ort,peft,llamacpp]
                     [--decisions 100] [--swap-seconds 60] [--activated]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from bench.bars import Row, print_row, print_table
from bench.machine import Machine, measure_machine
from bench.memory import MEMORY_ROWS, memory_row
from bench.options import Options
from bench.passes import CASES, measure_passes
from bench.village import VILLAGE_ROWS, measure_village
from townsfolk.config import EngineSettings

NAMES = (*(case.name for case in CASES), *VILLAGE_ROWS, *MEMORY_ROWS)
WIDTH = 110
PEERS = ("ort", "peft", "llamacpp")


def main(arguments: Sequence[str]) -> None:
    """Measure, print each row as it comes and all of them at the end; write the file asked for."""
    options, file = _parse(arguments)
    console = Console(width=WIDTH)
    machine = measure_machine(options.threads)
    console.print(
        f"{machine.processor}, {machine.threads} threads: reads {machine.gigabytes_per_s:.1f} GB/s, "
        f"{machine.giga_multiply_adds_per_s:.0f} billion 8-bit multiply-adds a second"
    )
    rows: dict[str, Row] = {}
    for row in _measured(options, machine):
        rows[row["name"]] = row
        print_row(console, row, rows)
    print_table(console, rows)
    if file:
        memory = rows.get("memory_32", {}).get("rss_mb")
        result = {"machine": asdict(machine), "rows": list(rows.values()), "rss_mb_32": memory}
        file.write_text(json.dumps(result, indent=1) + "\n")


def _measured(options: Options, machine: Machine) -> Iterator[Row]:
    cases = [case for case in CASES if case.name in options.only]
    village = [name for name in VILLAGE_ROWS if name in options.only]
    with tempfile.TemporaryDirectory(prefix="townsfolk-bench-") as folder:
        if cases:
            yield from measure_passes(cases, options, machine, Path(folder) / "passes")
        if village:
            yield from measure_village(village, options, Path(folder) / "village")
        for name in (name for name in MEMORY_ROWS if name in options.only):
            yield memory_row(name, options, Path(folder) / name)


def _parse(arguments: Sequence[str]) -> tuple[Options, Path | None]:
    parser = argparse.ArgumentParser(prog="scripts/bench engine")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--model", type=Path, default=EngineSettings().model)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20, help="passes timed a row and contender")
    parser.add_argument("--decisions", type=int, default=100, help="rounds of decisions timed a row")
    parser.add_argument("--swap-seconds", type=float, default=60)
    parser.add_argument("--activated", action="store_true", help="adapters of the service's rows are aLoRA")
    parser.add_argument("--peers", default="ort,peft", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--only", default=",".join(NAMES), help="rows to measure, by name")
    values = vars(parser.parse_args(arguments))
    for option, known in (("peers", PEERS), ("only", NAMES)):
        values[option] = frozenset(filter(None, values[option].split(",")))
        if unknown := values[option].difference(known):
            parser.error(f"--{option} has no {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    file = values.pop("json")
    return Options(**values), file


if __name__ == "__main__":
    main(sys.argv[1:])
