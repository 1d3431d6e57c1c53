"""What this machine can do at best, measured by a bare loop, and the time a pass must take at least."""

import platform
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from townsfolk.engine.adapters import Adapter
from townsfolk.engine.model import PROJECTIONS, Model
from townsfolk.engine.quantize import BLOCK, Weight

KV_BYTES, SCALE_BYTES = 2, 2


@dataclass(frozen=True)
class Machine:
    """Of `threads` threads together."""

    processor: str
    threads: int
    gigabytes_per_s: float
    giga_multiply_adds_per_s: float


def measure_machine(threads: int) -> Machine:
    """Compile and run `machine.cpp`: some seconds."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "machine"
        source = Path(__file__).with_suffix(".cpp")
        flags = ["-O3", "-funroll-loops", "-march=native", "-std=c++20", "-pthread"]
        subprocess.run(["c++", *flags, source, "-o", program], check=True)
        out = subprocess.run([program, str(threads)], check=True, capture_output=True, text=True).stdout
    bandwidth, peak = map(float, out.split())
    return Machine(_processor(), threads, bandwidth, peak)


def limit_ms(
    machine: Machine, model: Model, new: list[int], past: int, wanted: int, adapters: list[Adapter]
) -> float:
    """The longer of reading once what a pass needs and multiplying it at the peak.

    Args:
        new: tokens of each row. past: tokens each has in the KV cache.
        adapters: those in use, one for each of the first rows.
    """
    params = model.params
    layers = [layer.linear[projection] for layer in model.layers for projection in PROJECTIONS]
    kv_token = params.layers * 2 * params.kv_heads * params.head_dim
    read = sum(map(_stored_bytes, layers)) + _stored_bytes(model.lm_head)
    read += sum(adapter.size_bytes for adapter in adapters) + len(new) * past * kv_token * KV_BYTES
    multiplied = sum(new) * sum(map(_elements, layers)) + wanted * _elements(model.lm_head)
    multiplied += sum(count * adapter.size_bytes // 2 for count, adapter in zip(new, adapters, strict=False))
    group = params.heads // params.kv_heads
    multiplied += sum(count * (past + (count + 1) // 2) * kv_token * group for count in new)
    return 1e-6 * max(read / machine.gigabytes_per_s, multiplied / machine.giga_multiply_adds_per_s)


def _elements(weight: Weight) -> int:
    out, width = weight.shape
    return out * width


def _stored_bytes(weight: Weight) -> int:
    """As the native runner stores it: 4 bits with a scale and a minimum a block, or 8 with a scale."""
    elements = _elements(weight)
    if weight.four_bits:
        return elements // 2 + elements // BLOCK * 2 * SCALE_BYTES
    return elements + elements // BLOCK * SCALE_BYTES


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
