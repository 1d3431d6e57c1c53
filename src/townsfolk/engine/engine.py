"""The door to the engine: thread-safe, in front of the one thread that loops `schedule -> run -> update`."""

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from townsfolk.config import EngineSettings
from townsfolk.engine.adapter_slots import AdapterSlots, LoadedAdapter
from townsfolk.engine.adapters import read_adapter
from townsfolk.engine.core import EngineCore, Scoring
from townsfolk.engine.hyperparameters import Hyperparameters
from townsfolk.engine.kv import KvCache
from townsfolk.engine.model import open_model
from townsfolk.engine.request import Generation, GenerationRequest, OnToken, TokenEvent
from townsfolk.engine.runner import RaggedBatch, Runner
from townsfolk.engine.runners import open_runner
from townsfolk.engine.scheduler import Scheduler, Work
from townsfolk.engine.tokenizer import ModelTokenizer
from townsfolk.errors import Busy, InvalidRequest, ModelError

Logits = npt.NDArray[np.float32]

REFUSED_MS = 5_000
"""When who was refused may come again."""


@dataclass(frozen=True)
class AdapterInfo:
    """An adapter that requests may name."""

    content_hash: str
    rank: int
    size_bytes: int
    base_hash: str
    resident: bool
    activated: bool
    """It applies from its invocation on (aLoRA), and not from the start."""


@dataclass(frozen=True)
class PassReport:
    """One pass, for whoever measures."""

    rows: int
    new_tokens: int
    seconds: float


@dataclass(frozen=True)
class EngineStats:
    """A snapshot; the totals count since the start."""

    queue_length: int
    running_rows: int
    last_batch_rows: int
    kv_used: float  # 0 to 1
    adapters_loaded: int
    adapters_resident: int
    evictions: int
    passes: int
    prefilled_tokens: int
    generated_tokens: int
    dropped_late: int


Observer = Callable[[PassReport], None]
"""Called on the engine's thread after each pass: it must return at once and must not raise."""


class RequestHandle:
    """A submitted request."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def cancel(self) -> None:
        """Stop it before the next pass; its last event says "cancelled". Nothing happens if it is done."""
        self._work.cancelled = True


class Engine:
    """Generates tokens for many sequences at once.

    Attributes:
        tokenizer: of the base model.
        model: the base model's hyperparameters.
        base_hash: sha256 of the base model's file.
        runner_name: which runner multiplies the matrices.
    """

    def __init__(
        self,
        runner: Runner,
        tokenizer: ModelTokenizer,
        params: Hyperparameters,
        base_hash: str,
        settings: EngineSettings,
        observer: Observer | None = None,
    ) -> None:
        self.tokenizer, self.model, self.base_hash = tokenizer, params, base_hash
        self.runner_name = runner.name
        kv, adapters = KvCache(runner.kv_slots), AdapterSlots(settings.adapter_slots)
        scheduler = Scheduler(
            kv,
            adapters,
            max_queue=settings.max_queue,
            max_rows=settings.max_batch_rows,
            max_prefill_tokens=settings.max_prefill_tokens,
        )
        self._runner = runner
        self._core = EngineCore(runner, kv, adapters, scheduler)
        self._max_context = min(settings.max_context, params.context, runner.kv_slots)
        self._observer = observer
        self._last_rows = 0
        self._closing = False
        self._refusal = ""
        self._changed = threading.Condition()  # guards everything above; not held while a pass runs
        self._running = threading.Lock()  # held for a whole pass: guards the runner; taken first
        self._next = threading.Lock()  # held by who waits for `_running`
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, settings: EngineSettings, observer: Observer | None = None) -> "Engine":
        """Read the base model and start.

        Raises:
            ModelError: the model can't be read or served.
        """
        model = open_model(settings.model)
        tokenizer = ModelTokenizer(model.metadata)
        runner = open_runner(model, settings)
        return cls(runner, tokenizer, model.params, model.base_hash, settings, observer)

    @property
    def alive(self) -> bool:
        """Whether it takes requests: false once closed, or when a callback raised on the engine's thread."""
        return not self._closing and self._thread.is_alive()

    def submit(self, request: GenerationRequest, on_token: OnToken) -> RequestHandle:
        """Queue a request; news of it comes through `on_token`, on the engine's thread.

        Raises:
            InvalidRequest: an empty or too long prompt, tokens outside the vocabulary.
            AdapterError: the adapter is not loaded.
            Busy: the queue is full, or as `refuse` says.
            ModelError: the engine is closed.
        """
        self._check(request.prompt)
        if request.max_tokens < 1:
            raise InvalidRequest(f"max_tokens is {request.max_tokens}: must be 1 or more")
        self._check_refusal()
        with self._changed:
            if not self.alive:
                raise ModelError("the engine is closed: start the service again")
            work = Work(
                request,
                on_token,
                use=self._core.adapters.use(request.adapter, request.prompt),
                room=min(len(request.prompt) + request.max_tokens, self._max_context),
                random=np.random.default_rng(request.sampling.seed),
            )
            self._core.scheduler.add(work)
            self._changed.notify()
        return RequestHandle(work)

    def stream(self, request: GenerationRequest) -> Iterator[TokenEvent]:
        """Submit, then yield the events as they come. Closing the iterator cancels. Raises as `submit`."""
        events: queue.SimpleQueue[TokenEvent] = queue.SimpleQueue()
        return self._events(self.submit(request, events.put), events)

    def generate(self, request: GenerationRequest) -> Generation:
        """Submit, wait for the end, return the whole reply. Raises as `submit`."""
        tokens: list[int] = []
        for event in self.stream(request):
            tokens += event.tokens
        return Generation(tokens, event.finished or "error", event.error, event.timings)

    def score(self, tokens: Sequence[int], adapter: str | None = None, wanted: int | None = None) -> Logits:
        """Logits after each of the last `wanted` of `tokens`, [wanted, vocab].

        What comes before them is not run again where the KV cache has it from the same weights. The rest is
        run in passes of at most `engine.max_prefill_tokens`, each between two others.

        Args:
            wanted: None: after each of the tokens.

        Raises:
            AdapterError, InvalidRequest: as `submit`.
            ModelError: a pass failed, or the KV cache is in use up to the last slot.
        """
        self._check(tokens)
        wanted = len(tokens) if wanted is None else wanted
        if not 1 <= wanted <= len(tokens):
            raise InvalidRequest(f"wanted is {wanted}: must be 1 to {len(tokens)}, the number of tokens")
        with self._changed:
            scoring = Scoring(self._core.adapters.use(adapter, tokens), tokens, wanted)
        chunks: list[Logits] = []
        try:
            while not scoring.done:
                chunks.append(self._score_chunk(scoring))
        finally:
            with self._changed:
                self._core.kv.drop(scoring)
        return np.concatenate(chunks)

    def load_adapter(self, folder: Path, allowed_dirs: Sequence[Path]) -> AdapterInfo:
        """Read and check a PEFT folder and lay it out for the runner, while passes go on.

        Raises:
            AdapterError: says what is wrong with it.
            Busy: as `refuse` says.
        """
        self._check_refusal()
        read = read_adapter(folder, allowed_dirs, self.model, self.base_hash)
        laid_out = self._runner.lay_out(read)
        adapter = LoadedAdapter(read.content_hash, read.rank, read.size_bytes, read.invocation, laid_out)
        with self._changed:
            self._core.adapters.load(adapter)
            return self._info(adapter)

    def pin_adapters(self, content_hashes: Collection[str]) -> None:
        """Let these adapters, and no others, keep their slots however busy the others are.

        Raises:
            AdapterError: one is not loaded, or too few slots would be left.
        """
        with self._changed:
            self._core.adapters.pin(content_hashes)

    def unload_adapter(self, content_hash: str) -> None:
        """Take no more requests for it; those under way finish with it.

        Raises:
            AdapterError: it is not loaded.
        """
        with self._changed:
            self._core.adapters.unload(content_hash)

    def adapters(self) -> tuple[AdapterInfo, ...]:
        """What is loaded."""
        with self._changed:
            return tuple(map(self._info, self._core.adapters.loaded))

    def drop(self, sequence_id: str) -> None:
        """Forget a sequence: cancel its requests and free its part of the KV cache."""
        with self._changed:
            for work in self._core.scheduler.works:
                work.cancelled |= work.request.sequence_id == sequence_id
            self._core.kv.forget(sequence_id)

    def shed_cache(self) -> None:
        """Forget what the KV cache has of sequences at rest; until `grow_cache` it takes little more than it
        has then. Waits for a pass that is under way."""
        with self._turn():
            with self._changed:
                first_unused = self._core.kv.shed(self._max_context)
            self._runner.release(first_unused)

    def grow_cache(self) -> None:
        """The KV cache may have all its tokens again."""
        with self._changed:
            self._core.kv.grow()

    def refuse(self, reason: str) -> None:
        """Take no more requests and adapters, for this reason; what is under way goes on. Empty: do."""
        self._refusal = reason

    def stats(self) -> EngineStats:
        """How the engine is doing."""
        with self._changed:
            return EngineStats(
                queue_length=self._core.scheduler.waiting,
                running_rows=self._core.scheduler.running,
                last_batch_rows=self._last_rows,
                kv_used=self._core.kv.used_fraction,
                adapters_loaded=len(self._core.adapters.loaded),
                adapters_resident=sum(adapter is not None for adapter in self._core.adapters.resident),
                evictions=self._core.kv.evictions,
                **asdict(self._core.totals),
            )

    def close(self) -> None:
        """Cancel what is under way and stop the thread."""
        with self._changed:
            self._closing = True
            for work in self._core.scheduler.works:
                work.cancelled = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _loop(self) -> None:
        """The engine's thread: sleeps while there is nothing to do, ends when closed."""
        try:
            while self._wait_for_work():
                with self._turn():
                    self._step()
                self._deliver()
        finally:  # a defect in a callback or constraint ends the thread: let nobody wait for it in vain
            with self._changed:
                self._closing = True
                self._core.abandon()
            self._deliver()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The runner, for one pass: whoever waits for it has it before whoever had it last."""
        with self._next:
            self._running.acquire()
        try:
            yield
        finally:
            self._running.release()

    def _wait_for_work(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._core.scheduler.works)
            return bool(self._core.scheduler.works)

    def _step(self) -> None:
        started = time.monotonic()
        with self._changed:
            current = self._core.schedule()
        if current:
            result = self._core.run(current)
            with self._changed:
                self._core.update(current, result)
                self._last_rows = len(current.shares)
            if self._observer:
                seconds = time.monotonic() - started
                self._observer(PassReport(len(current.shares), current.batch.size, seconds))

    def _score_chunk(self, scoring: Scoring) -> Logits:
        with self._turn():
            with self._changed:
                row = self._core.schedule_score(scoring)
            logits: Logits | None = None
            try:
                logits = self._runner.forward(RaggedBatch([row]))
                return logits
            finally:
                with self._changed:
                    self._core.update_score(scoring, row, failed=logits is None)

    def _deliver(self) -> None:
        with self._changed:
            news = self._core.take_news()
        for on_token, event in news:
            on_token(event)

    def _events(self, handle: RequestHandle, events: "queue.SimpleQueue[TokenEvent]") -> Iterator[TokenEvent]:
        try:
            while True:
                event = events.get()
                yield event
                if event.finished:
                    return
        finally:
            handle.cancel()

    def _check_refusal(self) -> None:
        if self._refusal:
            raise Busy(self._refusal, retry_after_ms=REFUSED_MS)

    def _check(self, prompt: Sequence[int]) -> None:
        if not 0 < len(prompt) < self._max_context:
            raise InvalidRequest(
                f"prompt of {len(prompt)} tokens: must be 1 to {self._max_context - 1}; shorten it, or raise "
                "engine.max_context"
            )
        if min(prompt) < 0 or max(prompt) >= self.model.vocab:
            raise InvalidRequest(f"prompt has ids outside 0 to {self.model.vocab - 1}: use engine.tokenizer")

    def _info(self, adapter: LoadedAdapter) -> AdapterInfo:
        resident = self._core.adapters.slot(adapter.content_hash) is not None
        return AdapterInfo(
            content_hash=adapter.content_hash,
            rank=adapter.rank,
            size_bytes=adapter.size_bytes,
            base_hash=self.base_hash,
            resident=resident,
            activated=bool(adapter.invocation),
        )
