"""What each call needs: a scope, its own game, and not too often. The same for every protocol.

It stands between the wires and the service, has the service's methods, and knows of no header or route.
"""

from collections.abc import AsyncGenerator, Sequence
from contextvars import ContextVar

from townsfolk.config import LimitSettings
from townsfolk.errors import Forbidden, TooOften
from townsfolk.gateway.limits import RateLimit
from townsfolk.gateway.service import ChatMessage, Service
from townsfolk.gateway.tokens import Holder, Scope
from townsfolk.types import (
    AdapterList,
    AdapterVersion,
    CheckRequest,
    Connected,
    DemoBatch,
    EventKind,
    ForgetPlayer,
    Game,
    InferChunk,
    InferReply,
    InferRequest,
    LoadAdapter,
    LogBatch,
    Observation,
    PromoteAdapter,
    Rating,
    Refused,
    RollbackAdapter,
    Standing,
    StepReply,
    StepRequest,
    UnloadAdapter,
    Verdict,
)

CALLER: ContextVar[Holder] = ContextVar("CALLER")
"""Whose token the call under way came with; the wires set it before anything else."""
GAME_BURST_S, PLAYER_BURST_S = 10.0, 60.0


class Permitted:
    """A `Service` whose calls are asked for their caller's permit, then passed on.

    Every method raises Forbidden and TooOften, beside what the service itself raises.
    """

    def __init__(self, service: Service, limits: LimitSettings) -> None:
        self._service = service
        self._games = RateLimit(limits.game_calls_per_second, GAME_BURST_S, "limits.game_calls_per_second")
        per_second = limits.player_calls_per_minute / 60
        self._players = RateLimit(per_second, PLAYER_BURST_S, "limits.player_calls_per_minute")

    # --- games ---

    async def connect(self, game: Game) -> Connected:
        self._need(Scope.PLAY, game.game_id)
        return await self._service.connect(game)

    async def step(self, request: StepRequest) -> StepReply:
        """Words of a player who speaks too often are refused; everybody else's are not."""
        self._need(Scope.PLAY, request.game_id)
        refused = tuple(filter(None, (self._refusal(request.game_id, seen) for seen in request.observations)))
        if not refused:
            return await self._service.step(request)
        late = {refusal.villager_id for refusal in refused}
        taken = tuple(seen for seen in request.observations if seen.villager_id not in late)
        reply = await self._service.step(request.model_copy(update={"observations": taken}))
        return reply.model_copy(update={"refused": (*reply.refused, *refused)})

    async def infer(self, request: InferRequest) -> InferReply:
        self._need(Scope.PLAY)
        return await self._service.infer(request)

    def infer_stream(self, request: InferRequest) -> AsyncGenerator[InferChunk, None]:
        self._need(Scope.PLAY)
        return self._service.infer_stream(request)

    def chat(
        self,
        persona: str,
        messages: Sequence[ChatMessage],
        max_tokens: int,
        temperature: float | None,
        deadline: float,
    ) -> AsyncGenerator[InferChunk, None]:
        self._need(Scope.PLAY)
        return self._service.chat(persona, messages, max_tokens, temperature, deadline)

    async def check(self, request: CheckRequest) -> Verdict:
        self._need(Scope.PLAY, request.game_id)
        return await self._service.check(request)

    # --- adapters ---

    async def adapters(self) -> AdapterList:
        self._need(Scope.ADMIN)
        return await self._service.adapters()

    async def load_adapter(self, request: LoadAdapter) -> AdapterVersion:
        self._need(Scope.ADMIN)
        return await self._service.load_adapter(request)

    async def promote_adapter(self, request: PromoteAdapter) -> Standing:
        self._need(Scope.ADMIN)
        return await self._service.promote_adapter(request)

    async def rollback_adapter(self, request: RollbackAdapter) -> Standing:
        self._need(Scope.ADMIN)
        return await self._service.rollback_adapter(request)

    async def unload_adapter(self, request: UnloadAdapter) -> None:
        self._need(Scope.ADMIN)
        await self._service.unload_adapter(request)

    # --- feedback ---

    async def rate(self, rating: Rating) -> None:
        """A token that is for one game rates that game's turns."""
        game_id = rating.game_id or CALLER.get().game_id
        self._need(Scope.RATE, game_id)
        self._players.take(_player(game_id, rating.player))
        await self._service.rate(rating.model_copy(update={"game_id": game_id}))

    async def log(self, batch: LogBatch) -> None:
        for game_id in {entry.game_id for entry in batch.entries}:
            self._need(Scope.PLAY, game_id)
        await self._service.log(batch)

    async def demonstrate(self, batch: DemoBatch) -> None:
        self._need(Scope.PLAY, batch.game_id)
        self._players.take(_player(batch.game_id, batch.player))
        await self._service.demonstrate(batch)

    async def forget(self, player: ForgetPlayer) -> None:
        self._need(Scope.PLAY, player.game_id)
        self._players.take(_player(player.game_id, player.player))
        await self._service.forget(player)

    # --- whoever has any token ---

    def personas(self) -> Sequence[str]:
        return self._service.personas()

    def readiness(self) -> tuple[bool, str]:
        return self._service.readiness()

    # --- the rules ---

    def _need(self, scope: Scope, game_id: str = "") -> None:
        caller = CALLER.get()
        if scope not in caller.scopes:
            raise Forbidden(
                f"token {caller.name!r} has the scope {', '.join(sorted(caller.scopes))}, this call needs "
                f"{scope}: use another, made with `townsfolk tokens add NAME --scope {scope}`"
            )
        if not caller.may(scope, game_id):
            raise Forbidden(
                f"token {caller.name!r} is for the game {caller.game_id!r}, not {game_id!r}: use that game's"
            )
        self._games.take(f"game {game_id!r}" if game_id else f"token {caller.name!r}")

    def _refusal(self, game_id: str, seen: Observation) -> Refused | None:
        """Why an observation is not taken now: one of its players has said too much."""
        said = [event.who for event in seen.events if event.kind is EventKind.SPOKEN_TO]
        try:
            for player in set(said):
                self._players.take(_player(game_id, player), said.count(player))
        except TooOften as error:
            told = {"reason": str(error), "retry_after_ms": error.retry_after_ms}
            return Refused(villager_id=seen.villager_id, code="busy", **told)
        return None


def _player(game_id: str, player: str) -> str:
    return f"player {player!r} of {game_id!r}"
