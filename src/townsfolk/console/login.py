"""Coming in and going out."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from townsfolk.console.render import page
from townsfolk.console.security import Changer
from townsfolk.console.sessions import COOKIE, Sessions
from townsfolk.errors import TooOften, Unauthorized

router = APIRouter()


@router.get("/login")
async def form(request: Request, then: str = "") -> Response:
    return page(request, "login", then=then, fault="")


@router.post("/login")
async def log_in(
    request: Request, token: Annotated[str, Form()] = "", then: Annotated[str, Form()] = ""
) -> Response:
    sessions: Sessions = request.app.state.sessions
    try:
        _, cookie = sessions.begin(token.strip(), request.client.host if request.client else "")
    except Unauthorized as error:
        return page(request, "login", status=HTTPStatus.UNAUTHORIZED, then=then, fault=str(error))
    except TooOften as error:
        return page(request, "login", status=HTTPStatus.TOO_MANY_REQUESTS, then=then, fault=str(error))
    root = request.scope["root_path"]
    answer = RedirectResponse(then if then.startswith(f"{root}/") else f"{root}/", HTTPStatus.SEE_OTHER)
    secure = request.headers.get("origin", str(request.url)).startswith("https:")  # behind a proxy, too
    answer.set_cookie(COOKIE, cookie, path=root or "/", httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/logout")
async def log_out(request: Request, session: Changer) -> Response:
    sessions: Sessions = request.app.state.sessions
    sessions.end(session)
    root = request.scope["root_path"]
    answer = RedirectResponse(f"{root}/login", HTTPStatus.SEE_OTHER)
    answer.delete_cookie(COOKIE, path=root or "/")
    return answer
