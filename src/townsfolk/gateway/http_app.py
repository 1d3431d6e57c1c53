"""The HTTP server: its routes behind the guard, its documentation, and the shape of its errors.

Every answer that is not a success has the one shape of `faults.ErrorReply`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

import townsfolk
from townsfolk.errors import TownsfolkError
from townsfolk.gateway import routes
from townsfolk.gateway.faults import Fault, fault_of, http_fault, invalid_fields
from townsfolk.gateway.front import Front
from townsfolk.gateway.guard import Guard
from townsfolk.gateway.metrics import CallMetrics

ASSETS = "/docs/assets"
Mounts = Mapping[str, ASGIApp]
NO_MOUNTS: Mounts = {}


def create_http_app(
    front: Front,
    metrics: CallMetrics,
    *,
    games: bool = True,
    admin: bool = True,
    mounts: Mounts = NO_MOUNTS,
) -> FastAPI:
    """The ASGI application, of the routes that are for games, for operators, or of both.

    Args:
        mounts: path -> an application with a login of its own.

    HTTPBearer only documents the token: the guard has checked it before any route runs.
    """
    app = FastAPI(
        title="Townsfolk",
        version=townsfolk.__version__,
        description="Fine-tuned AI villagers for Luanti.",
        docs_url=None,
        redoc_url=None,
    )
    token = [] if front.tokens.open else [Depends(HTTPBearer(auto_error=False))]
    if games:
        for calls in (routes.games, routes.direct, routes.feedback):
            app.include_router(calls(front.service), dependencies=token)
        app.include_router(routes.openai(front.service, front.settings), dependencies=token)
    if admin:
        app.include_router(routes.adapters(front.service), dependencies=token)
        app.include_router(routes.metrics(front.registry))
    app.include_router(routes.health(front.service))
    _add_docs(app)
    _add_error_shape(app)
    for path, mounted in mounts.items():
        app.mount(path, mounted)
    app.add_middleware(
        Guard, settings=front.settings, tokens=front.tokens, metrics=metrics, own_login=tuple(mounts)
    )
    if origins := front.settings.http.cors_origins:
        _allow_pages(app, origins)
    return app


def _allow_pages(app: FastAPI, origins: Sequence[str]) -> None:
    """Before the guard: a browser's preflight has no token. Never with cookies."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Retry-After"],
    )


def _add_docs(app: FastAPI) -> None:
    """Swagger UI from the files that fastapi-offline carries: nothing is fetched from outside."""
    files = Path(fastapi_offline.__file__).parent / "static"
    app.mount(ASSETS, StaticFiles(directory=files), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Townsfolk API",
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
            swagger_ui_parameters={"validatorUrl": None},  # else it would ask validator.swagger.io
        )


def _add_error_shape(app: FastAPI) -> None:
    app.add_exception_handler(TownsfolkError, _shape(fault_of))
    app.add_exception_handler(
        RequestValidationError, _shape(lambda error: invalid_fields(error.errors(), skip=1))
    )
    app.add_exception_handler(HTTPException, _shape(_of_http))
    app.add_exception_handler(405, _method_not_allowed)
    bug = fault_of(TownsfolkError("a fault inside the service: its log says which"))
    app.add_exception_handler(Exception, _shape(lambda _: bug))


def _of_http(error: HTTPException) -> Fault:
    """The framework's own refusals (no such route or method) say only a word: add what to do."""
    status = HTTPStatus(error.status_code)
    unhelpful = error.detail == status.phrase
    return http_fault(
        status, f"{status.phrase}: GET /openapi.json lists what there is" if unhelpful else error.detail
    )


def _shape(fault: Callable[[Any], Fault]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> JSONResponse:
        return fault(error).response()

    return handle


async def _method_not_allowed(request: Request, error: Exception) -> JSONResponse:
    """`Allow` has all methods of the path: the framework's own names those of one route only."""
    template = getattr(request.scope.get("route"), "path", "")
    methods = request.app.openapi()["paths"].get(template, {"get": {}})
    answer = http_fault(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"{request.method} is not for this path: GET /openapi.json lists what is",
    ).response()
    answer.headers["Allow"] = ", ".join(sorted(methods)).upper()
    return answer
