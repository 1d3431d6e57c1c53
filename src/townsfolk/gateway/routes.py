"""The HTTP routes: each takes a type of `townsfolk.types`, makes one call, gives one back.

JSON is read strictly (UTF-8, no NaN, bounded depth). Limits and tokens are the guard's business.
"""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import pydantic_core
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException

from townsfolk.config import Settings
from townsfolk.gateway import openai_api
from townsfolk.gateway.faults import ErrorReply
from townsfolk.gateway.service import Service
from townsfolk.gateway.sse import EVENT_SCHEMA, EventStream, stream
from townsfolk.types import (
    AdapterList,
    AdapterVersion,
    CheckRequest,
    Connected,
    DemoBatch,
    ForgetPlayer,
    Game,
    InferReply,
    InferRequest,
    LoadAdapter,
    LogBatch,
    PersonaName,
    PromoteAdapter,
    Rating,
    RollbackAdapter,
    Standing,
    StepReply,
    StepRequest,
    UnloadAdapter,
    Verdict,
)

VILLAGERS = "villagers"

_RETRY_AFTER = {"Retry-After": {"description": "Whole seconds to wait", "schema": {"type": "integer"}}}
_FAULTS: dict[int, str] = {
    400: "Not JSON: invalid UTF-8, NaN, a lone surrogate or nested too deep",
    401: "The token is missing or wrong",
    403: "The token's scopes, or its game, don't reach that far",
    404: "It names something that is not there",
    408: "The body came too slowly",
    409: "The game has not connected, or the service was restarted: connect again",
    413: "The body is too large",
    422: "The message breaks a rule; every broken rule is listed",
    429: "This game or player calls too often; `Retry-After` says when to come again",
    503: "Busy, or the store is away; when busy, `Retry-After` says when to come again",
    504: "The deadline passed before the work was done",
}
_ALWAYS = (401, 403, 408, 413, 429, 503)
_BODY = (*_ALWAYS, 400, 422)


class _StrictRequest(Request):
    """Reads JSON by Rust's parser: Python's takes NaN, lone surrogates and any depth the stack bears."""

    async def json(self) -> Any:
        try:
            return pydantic_core.from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly


def _router(tag: str) -> APIRouter:
    return APIRouter(route_class=_Route, tags=[tag])


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of these answers."""
    told: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorReply, "description": _FAULTS[status]} for status in sorted(statuses)
    }
    for status in told.keys() & {429, 503}:
        told[status]["headers"] = _RETRY_AFTER
    return told


def _errors_as_json(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The same for a route whose success is not JSON: FastAPI would give a model that media type."""
    shape = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ErrorReply.__name__}"}}}
    return {
        status: {"content": shape, **{key: value for key, value in told.items() if key != "model"}}
        for status, told in _errors(*statuses).items()
    }


def games(service: Service) -> APIRouter:
    router = _router(VILLAGERS)

    @router.post("/v1/games", summary="A game connects", responses=_errors(*_BODY))
    async def connect(game: Game) -> Connected:
        return await service.connect(game)

    @router.post(
        "/v1/step",
        summary="Observations in, decisions out",
        description="An event `spoken_to` or `gift` asks for an answer in words, `tick` and `punched` for a "
        "decision: one action, of those that the persona does of itself then (`unasked`) and that have a "
        "target in view. Decisions come before words. All that were asked for are answered together, at the "
        "latest after `max_wait_ms`; what is not ready then comes with the next step.",
        responses=_errors(*_BODY, 409),
    )
    async def step(request: StepRequest) -> StepReply:
        return await service.step(request)

    @router.post("/v1/policy/check", summary="May it?", responses=_errors(*_BODY, 404))
    async def check(request: CheckRequest) -> Verdict:
        return await service.check(request)

    return router


def direct(service: Service) -> APIRouter:
    """Turns that are asked for without a game."""
    router = _router(VILLAGERS)

    @router.post("/v1/infer", summary="One turn", responses=_errors(*_BODY, 404, 504))
    async def infer(request: InferRequest) -> InferReply:
        return await service.infer(request)

    @router.post(
        "/v1/infer/stream",
        summary="One turn, piece by piece",
        description="Server-sent events: each `data` is an InferChunk; an `error` event has an ErrorReply.",
        response_class=EventStream,
        status_code=200,
        responses={
            **_errors_as_json(*_BODY, 404, 504),
            200: {"content": {"text/event-stream": {"schema": EVENT_SCHEMA}}},
        },
    )
    async def infer_stream(request: InferRequest) -> EventStream:
        return await stream(
            service.infer_stream(request),
            render=lambda chunk: f"data: {chunk.model_dump_json()}\n\n",
            failed=lambda error: f"event: error\ndata: {error.model_dump_json(exclude_none=True)}\n\n",
        )

    return router


def feedback(service: Service) -> APIRouter:
    router = _router(VILLAGERS)

    @router.post("/v1/ratings", status_code=204, summary="Rate a turn", responses=_errors(*_BODY, 404))
    async def rate(rating: Rating) -> None:
        await service.rate(rating)

    @router.post("/v1/log", status_code=204, summary="Log what happened", responses=_errors(*_BODY))
    async def log(batch: LogBatch) -> None:
        await service.log(batch)

    @router.post("/v1/demos", status_code=204, summary="A player's demonstration", responses=_errors(*_BODY))
    async def demonstrate(batch: DemoBatch) -> None:
        await service.demonstrate(batch)

    @router.post(
        "/v1/feedback/forget",
        status_code=204,
        summary="A player wishes to be forgotten",
        description="Turns, ratings, memories, engagement and demonstrations of the player leave the store, "
        "and no dataset learns from the player again.",
        responses=_errors(*_BODY),
    )
    async def forget(player: ForgetPlayer) -> None:
        await service.forget(player)

    return router


def adapters(service: Service) -> APIRouter:
    router = _router("adapters")

    @router.get("/v1/adapters", summary="All adapters", responses=_errors(*_ALWAYS))
    async def adapters() -> AdapterList:
        return await service.adapters()

    @router.post("/v1/adapters", summary="Load an adapter", responses=_errors(*_BODY, 404))
    async def load_adapter(request: LoadAdapter) -> AdapterVersion:
        return await service.load_adapter(request)

    @router.post("/v1/adapters/promote", summary="Put a version live", responses=_errors(*_BODY, 404))
    async def promote_adapter(request: PromoteAdapter) -> Standing:
        return await service.promote_adapter(request)

    @router.post("/v1/adapters/rollback", summary="Take a version back", responses=_errors(*_BODY, 404))
    async def rollback_adapter(request: RollbackAdapter) -> Standing:
        return await service.rollback_adapter(request)

    @router.delete(
        "/v1/adapters/{name}",
        status_code=204,
        summary="Unload an adapter",
        responses=_errors(*_ALWAYS, 404, 422),
    )
    async def unload_adapter(name: PersonaName) -> None:
        await service.unload_adapter(UnloadAdapter(name=name))

    return router


def openai(service: Service, settings: Settings) -> APIRouter:
    router = _router("OpenAI-compatible")

    @router.get("/v1/models", summary="All personas, as models", responses=_errors(*_ALWAYS))
    async def models() -> openai_api.ModelList:
        return openai_api.model_list(service.personas())

    @router.post(
        "/v1/chat/completions",
        summary="Chat with a persona",
        description="`model` is a persona. With `stream` the answer is server-sent events.",
        response_model=openai_api.Completion,
        responses={
            **_errors(*_BODY, 404, 504),
            200: {"content": {"text/event-stream": {"schema": EVENT_SCHEMA}}},
        },
    )
    async def chat(request: openai_api.ChatRequest) -> openai_api.Completion | EventStream:
        timeout_s = settings.agents.turn_timeout_ms / 1000
        return await openai_api.complete(service, request, settings.agents.max_reply_tokens, timeout_s)

    return router


def health(service: Service) -> APIRouter:
    router = APIRouter(tags=["monitoring"])

    @router.get("/healthz", summary="The process is up")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="Turns can be served", responses=_errors(503))
    async def readyz() -> dict[str, str]:
        ready, reason = service.readiness()
        if not ready:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {reason}")
        return {"status": "ready", "note": reason} if reason else {"status": "ready"}

    return router


def metrics(registry: CollectorRegistry) -> APIRouter:
    router = APIRouter(tags=["monitoring"])

    @router.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=Response,
        responses={
            **_errors_as_json(401),
            200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}},
        },
    )
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
