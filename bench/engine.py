"""Times of one pass, ours and the peers', in turn, beside the limit that this machine sets.

scripts/bench engine [--json FILE] [--rounds 20] [--threads 2] [--peers ort,peft,llamacpp]
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.contenders import Case, LlamaCpp, Pass, Peft, our_pass
from bench.machine import Machine, limit_ms, measure_machine
from tiny_model import write_random_adapter
from townsfolk.config import EngineSettings
from townsfolk.engine.adapters import Adapter, read_adapter
from townsfolk.engine.model import Model, open_model
from townsfolk.engine.native_runner import NativeRunner
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.runner import Runner

CASES = (
    Case("decode_1", rows=1, new=1, past=256),
    Case("decode_10", rows=10, new=1, past=256),
    Case("decode_10_no_adapters", rows=10, new=1, past=256, adapted=False),
    Case("decode_32", rows=32, new=1, past=256),
    Case("prefill_128", rows=1, new=128, past=0),
)
PEFT_ROWS = 10
"""PEFT with more would take the time of all others together."""
KV_SLOTS, POSITIONS, SETTLE_S = 16_384, 1_024, 0.02
Contenders = Mapping[str, Callable[[Case], Pass | None]]
"""Who -> what starts a case and returns its pass, None where that is not for them."""


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    machine = measure_machine(options.threads)
    print(f"{machine.processor}, {machine.threads} threads: reads {machine.gigabytes_per_s:.1f} GB/s, "
          f"{machine.giga_multiply_adds_per_s:.0f} billion 8-bit multiply-adds a second")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        model = open_model(options.model)
        folders, adapters = _adapters(model, Path(folder))
        contenders = _contenders(options, model, folders, adapters, Path(folder))
        rows = [_row(case, contenders, machine, model, adapters, options.rounds) for case in CASES]
    result = {"machine": asdict(machine), "rows": rows}
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench engine")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--model", type=Path, default=EngineSettings().model)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", default="ort,peft", help="of ort, peft, llamacpp")
    return parser.parse_args(arguments)


def _adapters(model: Model, folder: Path) -> tuple[list[Path], list[Adapter]]:
    """As many as the largest case needs, of rank 8 on q, k, v and o."""
    folders = [
        write_random_adapter(folder / str(seed), model.params, model.base_hash, seed=seed, scale=0.2)
        for seed in range(max(case.rows for case in CASES))
    ]
    return folders, [read_adapter(path, [folder], model.params, model.base_hash) for path in folders]


def _contenders(
    options: argparse.Namespace, model: Model, folders: list[Path], adapters: list[Adapter], folder: Path
) -> Contenders:
    peers = options.peers.split(",")
    found: dict[str, Callable[[Case], Pass | None]] = {
        "ours": partial(our_pass, _runner(NativeRunner, options, model, adapters))
    }
    if "ort" in peers:
        found["ort"] = partial(our_pass, _runner(OnnxRunner, options, model, adapters))
    if "llamacpp" in peers:
        found["llamacpp"] = LlamaCpp(options.model, folder, options.threads).run
    if "peft" in peers:
        found["peft"] = Peft(options.model, folders[:PEFT_ROWS], options.threads).run
    return found


def _runner(
    kind: type[NativeRunner] | type[OnnxRunner],
    options: argparse.Namespace,
    model: Model,
    adapters: list[Adapter],
) -> Runner:
    runner: Runner = kind(model, threads=options.threads, kv_slots=KV_SLOTS, max_positions=POSITIONS)
    runner.set_adapters([runner.lay_out(adapter) for adapter in adapters])
    return runner


def _row(
    case: Case, contenders: Contenders, machine: Machine, model: Model, adapters: list[Adapter], rounds: int
) -> dict[str, Any]:
    """Measure one case, print it, and return it as the file has it."""
    passes = {who: run for who, start in contenders.items() if (run := start(case))}
    times = _interleaved(passes, rounds)
    in_use = adapters[: case.rows] if case.adapted else []
    limit = limit_ms(machine, model, [case.new] * case.rows, case.past, case.rows, in_use)
    ours = float(np.median(times["ours"]))
    print(f"{case.name:22} ours {ours:7.2f} ms = {ours / limit:4.2f} x limit", end="")
    row: dict[str, Any] = {"name": case.name, "ours_ms": ours, "limit_ms": limit}
    row["ours_p99_ms"] = float(np.percentile(times["ours"], 99))
    for peer in ("llamacpp", "peft", "ort"):
        row[f"{peer}_ms"] = float(np.median(times[peer])) if peer in times else None
        if peer in times:
            print(f"; {peer} {row[f'{peer}_ms'] / ours:5.2f} x ours", end="")
    print(flush=True)
    return row


def _interleaved(passes: dict[str, Pass], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each pass, in turn, so that a slow moment of the machine hits all alike."""
    times: dict[str, list[float]] = {who: [] for who in passes}
    for _ in range(rounds + 1):
        for who, run in passes.items():
            time.sleep(SETTLE_S)  # threads of the one before may still spin
            start = time.perf_counter()
            run()
            times[who].append(1e3 * (time.perf_counter() - start))
    return {who: own[1:] for who, own in times.items()}  # the first is a warm-up


if __name__ == "__main__":
    main(sys.argv[1:])
