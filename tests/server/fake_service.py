"""A service without a model: it echoes, remembers what it was asked, and fails when told to."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import PurePosixPath

from pydantic import BaseModel

from townsfolk.errors import AdapterError, NotConnected, UnknownName
from townsfolk.gateway.service import ChatMessage
from townsfolk.types import (
    AdapterList,
    AdapterVersion,
    CheckRequest,
    Connected,
    Decision,
    DemoBatch,
    ForgetPlayer,
    Game,
    InferChunk,
    InferReply,
    InferRequest,
    LoadAdapter,
    LogBatch,
    PromoteAdapter,
    Rating,
    RollbackAdapter,
    Standing,
    StepReply,
    StepRequest,
    UnloadAdapter,
    Verdict,
)

PERSONAS = ("explorer", "guard")
SLOW = "take your time"
"""A context that is answered with one word, then nothing for a long time."""


class FakeService:
    """Implements `townsfolk.gateway.service.Service`. Words of the context come back as chunks."""

    def __init__(self) -> None:
        self.seen: list[BaseModel] = []
        self.chats: list[tuple[str, tuple[ChatMessage, ...], int, float | None]] = []
        self.ready = (True, "")
        self.started = threading.Event()
        self.cancelled = threading.Event()
        self._failures: list[Exception] = []
        self._games: set[str] = set()
        self._adapters: dict[str, AdapterVersion] = {}

    def fail_next(self, error: Exception) -> None:
        """The next call raises `error`."""
        self._failures.append(error)

    def _take(self, request: BaseModel) -> None:
        self.seen.append(request)
        if self._failures:
            raise self._failures.pop()

    async def connect(self, game: Game) -> Connected:
        self._take(game)
        self._games.add(game.game_id)
        unknown = tuple(name for name in game.personas if name not in PERSONAS)
        return Connected(
            service_version="0",
            personas=PERSONAS,
            unknown_personas=unknown,
            default_persona="explorer",
        )

    async def step(self, request: StepRequest) -> StepReply:
        self._take(request)
        if request.game_id not in self._games:
            raise NotConnected(f"game {request.game_id!r} has not connected: connect first")
        return StepReply(
            decisions=tuple(
                Decision(
                    villager_id=seen.villager_id,
                    turn_id=f"t{index}",
                    part=0,
                    done=True,
                    snapshot_time=seen.snapshot_time,
                    speech=f"I am {seen.name}.",
                )
                for index, seen in enumerate(request.observations)
            )
        )

    async def infer(self, request: InferRequest) -> InferReply:
        chunks = [chunk async for chunk in self.infer_stream(request)]
        return InferReply(text="".join(chunk.text for chunk in chunks), actions=("wave",), turn_id="t1")

    def infer_stream(self, request: InferRequest) -> AsyncGenerator[InferChunk, None]:
        return self._words(request, request.persona, request.context)

    def chat(
        self,
        persona: str,
        messages: Sequence[ChatMessage],
        max_tokens: int,
        temperature: float | None,
        deadline: float,
    ) -> AsyncGenerator[InferChunk, None]:
        self.chats.append((persona, tuple(messages), max_tokens, temperature))
        return self._words(messages[-1], persona, messages[-1].content)

    async def _words(self, request: BaseModel, persona: str, text: str) -> AsyncGenerator[InferChunk, None]:
        _known(persona)
        for word in text.split()[:8]:
            yield InferChunk(turn_id="t1", text=word + " ")
            if text == SLOW:
                await self._long_time()
            self._take(request)
        yield InferChunk(turn_id="t1", actions=("wave",), done=True)

    async def _long_time(self) -> None:
        self.started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def check(self, request: CheckRequest) -> Verdict:
        self._take(request)
        _known(request.persona)
        return Verdict(allowed=False, rule="fake", reason=f"{request.action.tag()} is not for fakes")

    async def adapters(self) -> AdapterList:
        return AdapterList(adapters=tuple(self._adapters.values()))

    async def load_adapter(self, request: LoadAdapter) -> AdapterVersion:
        self._take(request)
        if not PurePosixPath(request.path).is_relative_to("/adapters"):
            raise AdapterError(f"{request.path!a} is outside /adapters: move it there")
        version = AdapterVersion(
            name=request.name, content_hash="0" * 64, rank=8, size_bytes=2**33, resident=True
        )
        self._adapters[request.name] = version
        return version

    async def promote_adapter(self, request: PromoteAdapter) -> Standing:
        self._take(request)
        _known(request.name)
        return Standing(name=request.name, trial=request.version, share=0.25)

    async def rollback_adapter(self, request: RollbackAdapter) -> Standing:
        self._take(request)
        _known(request.name)
        return Standing(name=request.name)

    async def unload_adapter(self, request: UnloadAdapter) -> None:
        self._take(request)
        if self._adapters.pop(request.name, None) is None:
            raise UnknownName(f"no adapter {request.name!r}: GET /v1/adapters lists them")

    async def rate(self, rating: Rating) -> None:
        self._take(rating)

    async def log(self, batch: LogBatch) -> None:
        self._take(batch)

    async def demonstrate(self, batch: DemoBatch) -> None:
        self._take(batch)

    async def forget(self, player: ForgetPlayer) -> None:
        self._take(player)

    def personas(self) -> Sequence[str]:
        return PERSONAS

    def readiness(self) -> tuple[bool, str]:
        return self.ready


def _known(persona: str) -> None:
    if persona not in PERSONAS:
        raise UnknownName(f"no persona {persona!r}: there are {', '.join(PERSONAS)}")
