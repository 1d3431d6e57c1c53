"""What the gateway asks of the rest: one method per call on the wire. Implemented by serving/.

Methods raise the errors of `townsfolk.errors`; the gateway gives each its HTTP and gRPC code. A
call whose client has gone, or whose deadline has passed, is cancelled (`asyncio.CancelledError`),
a stream is closed as well (`aclose`): drop the work then.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Literal, Protocol

from pydantic import Field

from townsfolk.types import (
    MAX_CONTEXT,
    AdapterList,
    AdapterVersion,
    CheckRequest,
    Connected,
    DemoBatch,
    ForgetPlayer,
    Game,
    InferChunk,
    InferReply,
    InferRequest,
    LoadAdapter,
    LogBatch,
    Message,
    PromoteAdapter,
    Rating,
    RollbackAdapter,
    Standing,
    StepReply,
    StepRequest,
    UnloadAdapter,
    Verdict,
)


class ChatMessage(Message):
    """One message of a chat with a persona; `system` adds to what the persona says of itself."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(max_length=MAX_CONTEXT)]


class Service(Protocol):
    """The service behind the wire."""

    async def connect(self, game: Game) -> Connected:
        """Take a game's greeting; a second one replaces the first."""

    async def step(self, request: StepRequest) -> StepReply:
        """Take observations, give the decisions that are ready within `max_wait_ms`."""

    async def infer(self, request: InferRequest) -> InferReply:
        """Generate one turn. Raises DeadlineExceeded after `max_wait_ms`."""

    def infer_stream(self, request: InferRequest) -> AsyncGenerator[InferChunk, None]:
        """Generate one turn piece by piece; the last chunk is `done`."""

    def chat(
        self,
        persona: str,
        messages: Sequence[ChatMessage],
        max_tokens: int,
        temperature: float | None,
        deadline: float,
    ) -> AsyncGenerator[InferChunk, None]:
        """Generate a persona's answer to a chat.

        Args:
            temperature: 0 decodes greedily; None leaves it to the persona.
            deadline: in seconds of `time.monotonic()`.
        """

    async def check(self, request: CheckRequest) -> Verdict:
        """Judge an action without carrying it out."""

    async def adapters(self) -> AdapterList:
        """All adapters and faults."""

    async def load_adapter(self, request: LoadAdapter) -> AdapterVersion:
        """Load or replace an adapter. Raises AdapterError."""

    async def promote_adapter(self, request: PromoteAdapter) -> Standing:
        """Serve a persona with a version of the registry. Raises UnknownName, AdapterError."""

    async def rollback_adapter(self, request: RollbackAdapter) -> Standing:
        """End a persona's trial, or serve the version before. Raises UnknownName, InvalidRequest."""

    async def unload_adapter(self, request: UnloadAdapter) -> None:
        """Stop serving an adapter. Raises UnknownName."""

    async def rate(self, rating: Rating) -> None:
        """Return once the rating is stored."""

    async def log(self, batch: LogBatch) -> None:
        """Return once the entries are stored."""

    async def demonstrate(self, batch: DemoBatch) -> None:
        """Return once the steps are stored."""

    async def forget(self, player: ForgetPlayer) -> None:
        """Return once nothing that was kept of the player is read any more."""

    def personas(self) -> Sequence[str]:
        """Names of all personas."""

    def readiness(self) -> tuple[bool, str]:
        """Whether turns can be served; why not, or what is amiss all the same."""
