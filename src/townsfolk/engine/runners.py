"""Chooses the runner for this machine, and says in the log which it is and why."""

import logging
import os
from typing import TypedDict

from townsfolk.config import EngineSettings
from townsfolk.engine.model import Model
from townsfolk.engine.native_runner import UNAVAILABLE, NativeRunner
from townsfolk.engine.runner import Runner
from townsfolk.errors import ModelError

log = logging.getLogger(__name__)


def open_runner(model: Model, settings: EngineSettings) -> Runner:
    """The runner that `settings.runner` names; "auto" is the native one where it works, else ONNX Runtime's.

    Raises:
        ModelError: the runner named does not work here, or none does.
    """
    if settings.runner == "onnx":
        return _open_onnx(model, settings, "engine.runner says so")
    if settings.runner == "auto" and UNAVAILABLE:
        return _open_onnx(model, settings, f"the native one is missing: {UNAVAILABLE}")
    try:
        runner = NativeRunner(model, kv_bits=settings.kv_bits, **_options(model, settings))
    except ModelError as error:
        if settings.runner == "native":
            raise
        return _open_onnx(model, settings, str(error))
    log.info("runner: native (%s kernels)", runner.kernels)
    return runner


def default_threads() -> int:
    """One less than the cores this process may use, at least one: the game keeps a core."""
    # macOS does not say which cores a process may use.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable - 1)


def _open_onnx(model: Model, settings: EngineSettings, why: str) -> Runner:
    # Imported where it is used: onnx and ONNX Runtime take 30 MB.
    from townsfolk.engine.onnx_runner import OnnxRunner

    if settings.kv_bits != OnnxRunner.kv_bits:
        raise ModelError(
            f"engine.kv_bits is {settings.kv_bits}, but the onnx runner's KV cache has {OnnxRunner.kv_bits}: "
            f"set engine.kv_bits to {OnnxRunner.kv_bits}, or have the native runner used ({why})"
        )
    log.info("runner: onnx (%s)", why)
    return OnnxRunner(model, **_options(model, settings))


class _Options(TypedDict):
    threads: int
    kv_slots: int
    max_positions: int


def _options(model: Model, settings: EngineSettings) -> _Options:
    return {
        "threads": settings.threads or default_threads(),
        "kv_slots": settings.kv_tokens,
        "max_positions": min(settings.max_context, model.params.context),
    }
