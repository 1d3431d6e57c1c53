"""What holds for every page: headers that let a browser do little, logins, and forms that are ours.

A change needs the session's cookie (SameSite=Strict), a request from our own pages, and the session's own
token in the form.
"""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Form, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from townsfolk.console.sessions import COOKIE, Session, Sessions
from townsfolk.errors import Forbidden, TownsfolkError

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with less, browsers would not tell the origin of a form
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class NotLoggedIn(TownsfolkError):
    """There is no session, or it has ended."""


class SecurityHeaders:
    """ASGI middleware: every answer has `HEADERS`; a route that sets one of its own keeps that."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


def logged_in(request: Request) -> Session:
    """The operator's session. Raises NotLoggedIn."""
    sessions: Sessions = request.app.state.sessions
    session = sessions.find(request.cookies.get(COOKIE, ""))
    if session is None:
        raise NotLoggedIn("log in first")
    return session


def from_our_pages(request: Request) -> None:
    """Raises Forbidden: the browser says that another site asks. One that says nothing is no browser."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    ours = (
        site == "same-origin"
        if site
        else not origin or urlsplit(origin).netloc == request.headers.get("host")
    )
    if not ours:
        raise Forbidden(
            f"this was asked for by another site ({origin or site}): open the console itself and try again; "
            "a proxy in front of it must pass on the header Host"
        )


def changing(session: Annotated[Session, Depends(logged_in)], csrf: Annotated[str, Form()] = "") -> Session:
    """The session of somebody who sends one of our forms. Raises NotLoggedIn, Forbidden."""
    if not session.owns(csrf):
        raise Forbidden("this form is not of your session: go back, load the page again and try once more")
    return session


Viewer = Annotated[Session, Depends(logged_in)]
Changer = Annotated[Session, Depends(changing)]
