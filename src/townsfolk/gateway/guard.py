"""ASGI middleware that stands before every HTTP route: who, how many, how large, how long.

It reads the body before any route sees it, so that what is too large or too slow never gets further,
and cancels the route when the client has gone. It knows no route but the three open to monitors.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from time import perf_counter
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from townsfolk.config import Settings
from townsfolk.errors import DeadlineExceeded, TownsfolkError
from townsfolk.gateway.faults import Fault, fault_of, http_fault
from townsfolk.gateway.limits import Gate, authorize
from townsfolk.gateway.metrics import CallMetrics

NO_TOKEN = {"/healthz"}
NO_GATE = {"/healthz", "/readyz", "/metrics"}
"""A monitor must get its answer above all when the service is busy."""
DRAINED = 16
"""A body up to this many times too large is read to its end and thrown away: closing the connection
on a client that is still sending would lose the answer that says why."""


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


class Guard:
    """The middleware; see the module."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: CallMetrics) -> None:
        self._app = app
        self._token = settings.api_token
        self._limits = settings.http
        self._gate = Gate(settings.http.max_concurrent)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, answer, code = perf_counter(), _Answer(send), "500"
        try:
            await self._answer(scope, receive, answer)
            code = str(answer.status or 499)  # 499, nginx's word: the client went before an answer
        finally:
            self._metrics.observe(_route(scope), code, perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self._admit(scope, receive, answer)
        except TownsfolkError as error:
            await _refuse(fault_of(error), scope, receive, answer)
        except HTTPException as error:
            await _refuse(http_fault(HTTPStatus(error.status_code), error.detail), scope, receive, answer)
        except _ClientGone:
            return

    async def _admit(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if scope["path"] not in NO_TOKEN:
            authorize(self._token, dict(scope["headers"]).get(b"authorization"))
        with self._place(scope["path"]):
            body = await self._read(receive)
            await self._run(scope, body, receive, answer)

    def _place(self, path: str) -> AbstractContextManager[None]:
        return nullcontext() if path in NO_GATE else self._gate.enter()

    async def _read(self, receive: Receive) -> bytes:
        """The whole body; raises HTTPException 408 or 413."""
        limit = self._limits.body_timeout_s
        try:
            async with asyncio.timeout(limit):
                return await self._read_chunks(receive)
        except TimeoutError:
            raise HTTPException(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body was not whole after {limit:g} s (http.body_timeout_s): send it faster",
            ) from None

    async def _read_chunks(self, receive: Receive) -> bytes:
        body, size, most, more = bytearray(), 0, self._limits.max_body_bytes, True
        while more and size <= DRAINED * most:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientGone
            size, more = size + len(message["body"]), message["more_body"]
            if size <= most:
                body += message["body"]
        if size > most:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body has more than {most} bytes (http.max_body_bytes): send less, such as fewer "
                "observations at once",
            )
        return bytes(body)

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
    return getattr(scope.get("route"), "path", "other")
