"""Those who run the same pass: our two runners, llama.cpp, transformers + PEFT.

Each makes of a `Case` a function that runs one pass of it, after its context was computed.
"""

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from townsfolk.engine.runner import BASE, RaggedBatch, Row, Runner

Pass = Callable[[], object]
FIRST_PLAIN_TOKEN = 100
_CALLED_BY_C: list[object] = []
"""Kept to the end of the process: llama.cpp logs even while it is freed."""


@dataclass(frozen=True)
class Case:
    """One row of the table: `rows` sequences with `new` tokens each, after `past` of warm context."""

    name: str
    rows: int
    new: int
    past: int
    adapted: bool = True  # each row has an adapter of its own

    def tokens(self, vocab: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        """[rows, past + new]."""
        random = np.random.default_rng(0)
        shape = (self.rows, self.past + self.new)
        return random.integers(FIRST_PLAIN_TOKEN, vocab, shape).astype(np.int32)


def our_pass(runner: Runner, case: Case) -> Pass:
    """A pass of one of our runners."""
    tokens, length = case.tokens(runner.vocab), case.past + case.new
    slots = np.arange(case.rows * length, dtype=np.int32).reshape(case.rows, length)
    adapters = range(case.rows) if case.adapted else [BASE] * case.rows
    for row, adapter in zip(range(case.rows), adapters, strict=True):
        for start in range(0, case.past, 128):
            end = min(case.past, start + 128)
            runner.forward(RaggedBatch([Row(tokens[row, start:end], slots[row, :end], adapter, wanted=0)]))
    rows = [Row(tokens[row, case.past :], slots[row], a) for row, a in enumerate(adapters)]
    return lambda: runner.forward(RaggedBatch(rows))


class LlamaCpp:
    """llama.cpp through llama-cpp-python: Q4_0, its best; a pass per adapter, as it knows no other way.

    The passes are of the base alone: what its adapters would cost on top is left out, in its favour.
    """

    def __init__(self, model: Path, folder: Path, threads: int) -> None:
        import llama_cpp

        self._lib: Any = llama_cpp
        self._threads = threads
        _CALLED_BY_C.append(llama_cpp.llama_log_callback(lambda level, text, data: None))
        llama_cpp.llama_log_set(_CALLED_BY_C[-1], ctypes.c_void_p(0))
        converted = folder / "q4_0.gguf"
        options = self._lib.llama_model_quantize_default_params()
        options.ftype, options.allow_requantize = self._lib.LLAMA_FTYPE_MOSTLY_Q4_0, True
        if self._lib.llama_model_quantize(os.fsencode(model), os.fsencode(converted), ctypes.byref(options)):
            raise RuntimeError(f"llama.cpp can't make Q4_0 of {model}")
        self._llama = self._lib.Llama(
            str(converted), n_ctx=1_024, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def run(self, case: Case) -> Pass | None:
        if case.rows > 1 and not case.adapted:
            return None  # these it could batch: a pass for each would be unfair
        llama = self._llama
        tokens = case.tokens(llama.n_vocab())[0].tolist()

        def one() -> None:
            llama.n_tokens = case.past
            llama.eval(tokens[case.past :])

        def all_rows() -> None:
            for _ in range(case.rows):
                one()

        llama.reset()
        if case.past:
            llama.eval(tokens[: case.past])
        return all_rows


class Peft:
    """transformers + PEFT in float32: one batch, with `adapter_names`."""

    def __init__(self, model: Path, adapters: list[Path], threads: int) -> None:
        os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        base = AutoModelForCausalLM.from_pretrained(
            str(model.parent), gguf_file=model.name, dtype=torch.float32
        )
        self._torch: Any = torch
        self._model: Any = PeftModel.from_pretrained(base, str(adapters[0]), adapter_name="0")
        for name, folder in enumerate(adapters[1:], start=1):
            self._model.load_adapter(str(folder), adapter_name=str(name))
        self._model.eval()

    def run(self, case: Case) -> Pass:
        torch, model = self._torch, self._model
        tokens = torch.from_numpy(case.tokens(model.config.vocab_size)).long()
        names = [str(row) if case.adapted else "__base__" for row in range(case.rows)]
        with torch.no_grad():
            past = self._context(tokens[:, : case.past], names) if case.past else None

        def one() -> None:
            with torch.no_grad():
                model(tokens[:, case.past :], past_key_values=past, adapter_names=names, logits_to_keep=1)
            if past is not None:
                past.crop(-case.new)

        return one

    def _context(self, tokens: Any, names: list[str]) -> Any:
        """The KV cache of `tokens`, [rows, past]; logits of all of them would take gigabytes."""
        return self._model(tokens, adapter_names=names, logits_to_keep=1).past_key_values
