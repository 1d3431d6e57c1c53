"""The console as an ASGI application of its own: pages, what is static, and errors told as pages."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from townsfolk.config import ConsoleSettings
from townsfolk.console import adapters, home, login, playground, reports, review, villagers
from townsfolk.console.desk import Desk
from townsfolk.console.render import STATIC, page
from townsfolk.console.security import NotLoggedIn, SecurityHeaders, from_our_pages, logged_in
from townsfolk.console.sessions import COOKIE, Sessions
from townsfolk.errors import (
    Busy,
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    StoreError,
    TooOften,
    TownsfolkError,
    Unauthorized,
    UnknownName,
)

STATUS: dict[type[TownsfolkError], HTTPStatus] = {
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    UnknownName: HTTPStatus.NOT_FOUND,
    InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooOften: HTTPStatus.TOO_MANY_REQUESTS,
    Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
}
ROOMS = (home, review, villagers, adapters, reports, playground)


def create_console(desk: Desk, settings: ConsoleSettings) -> FastAPI:
    """The application, to be mounted where no token is asked for: it has its own login."""
    app = FastAPI(openapi_url=None, dependencies=[Depends(_safe)])
    app.state.desk = desk
    app.state.sessions = Sessions(desk, settings.session_hours * 3_600)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.include_router(login.router)
    for room in ROOMS:
        app.include_router(room.router, dependencies=[Depends(logged_in)])
    app.add_exception_handler(NotLoggedIn, _to_login)
    app.add_exception_handler(TownsfolkError, _told(_of_error))
    app.add_exception_handler(HTTPException, _told(_of_http))
    app.add_exception_handler(RequestValidationError, _told(_of_form))
    app.add_middleware(SecurityHeaders)
    return app


def _safe(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        from_our_pages(request)


async def _to_login(request: Request, error: Exception) -> Response:
    """Where a page was asked for, the login leads back to it."""
    root, path = request.scope["root_path"], request.url.path
    then = f"?then={quote(path)}" if request.method == "GET" else ""
    return RedirectResponse(f"{root}/login{then}", HTTPStatus.SEE_OTHER)


def _told(
    status_and_text: Callable[..., tuple[HTTPStatus, str]],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        status, text = status_and_text(error)
        session = request.app.state.sessions.find(request.cookies.get(COOKIE, ""))
        return page(request, "error", session, status, title=status.phrase, text=text)

    return handle


def _of_error(error: TownsfolkError) -> tuple[HTTPStatus, str]:
    known = (STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return next(known, HTTPStatus.UNPROCESSABLE_ENTITY), str(error)


def _of_http(error: HTTPException) -> tuple[HTTPStatus, str]:
    return HTTPStatus(error.status_code), "There is no such page."


def _of_form(error: RequestValidationError) -> tuple[HTTPStatus, str]:
    faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
    return HTTPStatus.UNPROCESSABLE_ENTITY, f"The form has errors: {faults}."
