"""ASGI middleware that stands before every HTTP route: who, how many, how large, how long.

It reads the body before any route sees it, so that what is too large or too slow never gets further,
and cancels the route when the client has gone. It knows no route but the three open to monitors.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from http import HTTPStatus
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from townsfolk.config import LOOPBACK, Settings
from townsfolk.errors import DeadlineExceeded, Forbidden, TownsfolkError
from townsfolk.gateway.faults import Fault, fault_of, http_fault
from townsfolk.gateway.limits import Gate
from townsfolk.gateway.metrics import CallMetrics
from townsfolk.gateway.permits import CALLER
from townsfolk.gateway.tokens import Tokens
from townsfolk.gateway.tracing import call_span

NO_TOKEN = {"/healthz", "/readyz"}
"""What orchestrators probe, which have no token and learn nothing from it."""
NO_GATE = {"/healthz", "/readyz", "/metrics"}
"""A monitor must get its answer above all when the service is busy."""
MOST_DRAINED = 16_000_000
"""So many bytes of a body that is refused are read and thrown away: closing the connection on a
client that is still sending would lose the answer that says why."""


class _ClientGone(Exception):
    """The client closed the connection before its request was whole."""


class _Answer:
    """Passes the answer on and remembers how far it has come."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.complete = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)
        if message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)


class _Body:
    """The request's body as it arrives."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self._more = True

    async def read(self, keep: int) -> tuple[bytes, int]:
        """What has not been read yet: up to `keep` bytes of it, and its size."""
        kept, size = bytearray(), 0
        while self._more and size <= keep + MOST_DRAINED:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise _ClientGone
            self._more = message["more_body"]
            size += len(message["body"])
            kept += message["body"] if size <= keep else b""
        return bytes(kept), size


class Guard:
    """The middleware; see the module."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        tokens: Tokens,
        metrics: CallMetrics,
        own_login: Sequence[str] = (),
    ) -> None:
        """Args: own_login: paths below which an application asks for no token, but for a login of its own."""
        self._app = app
        self._tokens = tokens
        self._own_login = tuple(f"{path}/" for path in own_login)
        self._limits = settings.http
        self._gate = Gate(settings.http.max_concurrent)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, answer, code = perf_counter(), _Answer(send), "500"
        with call_span(scope["method"], scope["headers"]) as span:
            try:
                with suppress(_ClientGone):
                    await self._answer(scope, _Body(receive), answer)
                code = str(answer.status or 499)  # 499, nginx's word: the client went before an answer
            finally:
                self._metrics.observe(_route(scope), code, perf_counter() - started)
                span.update_name(f"{scope['method']} {_route(scope)}")
                span.set_attribute("http.response.status_code", int(code))

    async def _answer(self, scope: Scope, body: _Body, answer: _Answer) -> None:
        try:
            await self._admit(scope, body, answer)
        except TownsfolkError as error:
            await self._throw_away(body)
            await _refuse(fault_of(error), scope, body.receive, answer)
        except HTTPException as error:
            fault = http_fault(HTTPStatus(error.status_code), error.detail)
            await _refuse(fault, scope, body.receive, answer)

    async def _admit(self, scope: Scope, body: _Body, answer: _Answer) -> None:
        if scope["path"] not in NO_TOKEN and not f"{scope['path']}/".startswith(self._own_login):
            headers = dict(scope["headers"])
            CALLER.set(self._tokens.authorize(headers.get(b"authorization")))
            if self._tokens.open:
                _refuse_rebinding(headers.get(b"host", b""))
        with self._place(scope["path"]):
            content = await self._read(body)
            await self._run(scope, content, body.receive, answer)

    def _place(self, path: str) -> AbstractContextManager[None]:
        return nullcontext() if path in NO_GATE else self._gate.enter()

    async def _read(self, body: _Body) -> bytes:
        """The whole body; raises HTTPException 408 or 413."""
        limit, most = self._limits.body_timeout_s, self._limits.max_body_bytes
        try:
            async with asyncio.timeout(limit):
                content, size = await body.read(keep=most)
        except TimeoutError:
            raise HTTPException(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body was not whole after {limit:g} s (http.body_timeout_s): send it faster",
            ) from None
        if size > most:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body has more than {most} bytes (http.max_body_bytes): send less, such as fewer "
                "observations at once",
            )
        return content

    async def _throw_away(self, body: _Body) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.body_timeout_s):
                await body.read(keep=0)

    async def _run(self, scope: Scope, body: bytes, receive: Receive, answer: _Answer) -> None:
        """Run the route until it is done, the client has gone or the time is up."""
        route = asyncio.create_task(_coroutine(self._app(scope, _replay(body), answer.send)))
        gone = asyncio.create_task(_client_gone(receive))
        limit = self._limits.request_timeout_s
        try:
            await asyncio.wait((route, gone), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if answer.complete:  # the server calls that a disconnect too
                await route
            elif not route.done() and not gone.done():
                raise DeadlineExceeded(f"no answer within {limit:g} s (http.request_timeout_s): ask for less")
        finally:
            await _cancel(route, gone)
        if not route.cancelled():
            route.result()


def _refuse_rebinding(host: bytes) -> None:
    """Where anybody may come in, a web page must not that has its own name point at this machine."""
    try:
        name = urlsplit(f"//{host.decode('latin-1')}").hostname
    except ValueError:  # brackets that hold no address
        name = None
    if name not in LOOPBACK:
        raise Forbidden(
            f"the request is for {name!r}, and without a token only {', '.join(LOOPBACK)} are served: ask "
            "for one of those, or make a token with `townsfolk tokens add`"
        )


async def _coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


def _replay(body: bytes) -> Callable[[], Awaitable[MutableMapping[str, Any]]]:
    """A `receive` that gives the body that was read, then never anything: the guard sees who leaves."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop() if messages else await asyncio.Future()

    return receive


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _refuse(fault: Fault, scope: Scope, receive: Receive, answer: _Answer) -> None:
    """Once an answer has begun there is no way to tell but to break it off, which returning does."""
    if not answer.status:
        await fault.response()(scope, receive, answer.send)


def _route(scope: Scope) -> str:
    """The route's template: a caller's own path as a label would grow the metrics without bound."""
    path = getattr(scope.get("route"), "path", None)
    return "other" if path is None else f"{scope.get('root_path', '')}{path}"
