"""Rows of the engine: times of one pass, ours and the peers', in turn, beside the limit of this machine."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench.bars import Row, row_of, spread
from bench.contenders import Case, LlamaCpp, Pass, Peft, our_pass
from bench.machine import Machine, limit_ms
from bench.options import Options
from tiny_model import write_random_adapter
from townsfolk.engine.adapters import Adapter, read_adapter
from townsfolk.engine.model import Model, open_model
from townsfolk.engine.native_runner import NativeRunner
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.runner import Runner

CASES = (
    Case("decode_1", rows=1, new=1, past=256),
    Case("decode_10_no_adapters", rows=10, new=1, past=256, adapted=False),
    Case("decode_10", rows=10, new=1, past=256),
    Case("decode_32", rows=32, new=1, past=256),
    Case("prefill_128", rows=1, new=128, past=0),
)
KV_SLOTS, POSITIONS, SETTLE_S = 16_384, 1_024, 0.02
Contenders = Mapping[str, Callable[[Case], Pass | None]]
"""Who -> what starts a case and returns its pass."""


def measure_passes(cases: Sequence[Case], options: Options, machine: Machine, folder: Path) -> Iterator[Row]:
    """One row a case. Adapters and converted models go to `folder`."""
    model = open_model(options.model)
    folders = [
        write_random_adapter(folder / str(seed), model.params, model.base_hash, seed=seed, scale=0.2)
        for seed in range(max(case.rows for case in cases))
    ]
    adapters = [read_adapter(path, [folder], model.params, model.base_hash) for path in folders]
    contenders = _contenders(options, model, folders, adapters, folder)
    for case in cases:
        passes = {who: run for who, start in contenders.items() if (run := start(case))}
        times = _interleaved(passes, options.rounds)
        in_use = adapters[: case.rows] if case.adapted else []
        limit = limit_ms(machine, model, [case.new] * case.rows, case.past, case.rows, in_use)
        yield _row(case.name, times, limit)


def _contenders(
    options: Options, model: Model, folders: list[Path], adapters: list[Adapter], folder: Path
) -> Contenders:
    found: dict[str, Callable[[Case], Pass | None]] = {
        "ours": partial(our_pass, _runner(NativeRunner, options, model, adapters))
    }
    if "ort" in options.peers:
        found["ort"] = partial(our_pass, _runner(OnnxRunner, options, model, adapters))
    if "llamacpp" in options.peers:
        found["llamacpp"] = LlamaCpp(options.model, folder, options.threads).run
    if "peft" in options.peers:
        found["peft"] = Peft(options.model, folders, options.threads).run
    return found


def _runner(
    kind: type[NativeRunner] | type[OnnxRunner], options: Options, model: Model, adapters: list[Adapter]
) -> Runner:
    runner: Runner = kind(model, threads=options.threads, kv_slots=KV_SLOTS, max_positions=POSITIONS)
    runner.set_adapters([runner.lay_out(adapter) for adapter in adapters])
    return runner


def _interleaved(passes: dict[str, Pass], rounds: int) -> dict[str, list[float]]:
    """Seconds of each pass, in turn, so that a slow moment of the machine hits all alike."""
    times: dict[str, list[float]] = {who: [] for who in passes}
    for _ in range(rounds + 1):
        for who, run in passes.items():
            _settle()
            start = time.perf_counter()
            run()
            times[who].append(time.perf_counter() - start)
    return {who: own[1:] for who, own in times.items()}  # the first is a warm-up


def _settle() -> None:
    """Threads of the one before may still spin.

    Meanwhile this one is busy: on some virtual machines a core that slept takes milliseconds to wake.
    """
    until = time.perf_counter() + SETTLE_S
    while time.perf_counter() < until:
        pass


def _row(name: str, times: Mapping[str, list[float]], limit: float) -> Row:
    medians = {f"{who}_ms": 1e3 * float(np.median(own)) for who, own in times.items()}
    return row_of(name, limit_ms=limit, **medians | spread(times["ours"]))
