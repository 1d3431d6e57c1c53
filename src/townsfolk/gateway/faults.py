"""Errors -> what the caller sees: one code, one HTTP status, one gRPC status, one JSON shape.

The shape is a superset of OpenAI's, so that its clients raise their own errors. Nothing here knows
which call went wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

from grpc import StatusCode
from pydantic import BaseModel
from starlette.responses import JSONResponse

from townsfolk.errors import (
    AdapterError,
    Busy,
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    NotConnected,
    StoreError,
    TooOften,
    TownsfolkError,
    Unauthorized,
    UnknownName,
)

MAX_FAULTS = 50
"""Faults told of one message: a gRPC status must fit into 8 KB of trailers, and nobody reads more."""
MAX_MESSAGE = 4_000


class FieldFault(BaseModel):
    """One broken rule of a message."""

    field: str
    """Its path, such as `observations.0.name`."""
    rule: str
    value: str
    """What came instead, shortened."""


class ErrorBody(BaseModel):
    """What went wrong: the value, the rule and the remedy in `message`, a stable word in `code`."""

    code: str
    message: str
    type: str
    """OpenAI's class of the error: `invalid_request_error`, `authentication_error`, `permission_error`, …"""
    faults: tuple[FieldFault, ...] = ()
    retry_after_ms: int | None = None


class ErrorReply(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorBody


@dataclass(frozen=True)
class Fault:
    """An error on its way to the wire."""

    code: str
    message: str
    http: HTTPStatus
    grpc: StatusCode
    faults: tuple[FieldFault, ...] = ()
    retry_after_ms: int | None = None

    def body(self) -> ErrorReply:
        shown = _printable(self.message)
        return ErrorReply(
            error=ErrorBody(
                code=self.code,
                message=shown,
                type=_openai_type(self.http),
                faults=self.faults,
                retry_after_ms=self.retry_after_ms,
            )
        )

    def response(self) -> JSONResponse:
        """The HTTP answer; `Retry-After` is in whole seconds, rounded up."""
        headers = {}
        if self.retry_after_ms is not None:
            headers["Retry-After"] = str(ceil(self.retry_after_ms / 1000))
        if self.http is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body().model_dump(exclude_none=True), self.http, headers)

    def details(self) -> str:
        """The gRPC status message, faults included."""
        lines = [self.message, *(f"{fault.field}: {fault.rule} (got {fault.value})" for fault in self.faults)]
        return _printable("\n".join(lines))

    def trailers(self) -> tuple[tuple[str, str], ...]:
        """The gRPC trailing metadata."""
        retry = () if self.retry_after_ms is None else (("retry-after-ms", str(self.retry_after_ms)),)
        return (("error-code", self.code), *retry)


_WIRE: dict[type[TownsfolkError], tuple[str, HTTPStatus, StatusCode]] = {
    InvalidRequest: ("invalid_request", HTTPStatus.UNPROCESSABLE_ENTITY, StatusCode.INVALID_ARGUMENT),
    UnknownName: ("unknown_name", HTTPStatus.NOT_FOUND, StatusCode.NOT_FOUND),
    NotConnected: ("not_connected", HTTPStatus.CONFLICT, StatusCode.FAILED_PRECONDITION),
    Unauthorized: ("unauthorized", HTTPStatus.UNAUTHORIZED, StatusCode.UNAUTHENTICATED),
    Forbidden: ("forbidden", HTTPStatus.FORBIDDEN, StatusCode.PERMISSION_DENIED),
    TooOften: ("too_often", HTTPStatus.TOO_MANY_REQUESTS, StatusCode.RESOURCE_EXHAUSTED),
    Busy: ("busy", HTTPStatus.SERVICE_UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED),
    DeadlineExceeded: ("deadline_exceeded", HTTPStatus.GATEWAY_TIMEOUT, StatusCode.DEADLINE_EXCEEDED),
    AdapterError: ("adapter_error", HTTPStatus.UNPROCESSABLE_ENTITY, StatusCode.INVALID_ARGUMENT),
    StoreError: ("store_error", HTTPStatus.SERVICE_UNAVAILABLE, StatusCode.UNAVAILABLE),
    TownsfolkError: ("internal", HTTPStatus.INTERNAL_SERVER_ERROR, StatusCode.INTERNAL),
}


def fault_of(error: TownsfolkError) -> Fault:
    """The fault of an error, by its nearest class in the tree."""
    code, http, grpc = next(_WIRE[kind] for kind in type(error).__mro__ if kind in _WIRE)
    retry = error.retry_after_ms if isinstance(error, Busy) else None
    return Fault(code, str(error), http, grpc, retry_after_ms=retry)


def invalid_fields(errors: Sequence[Any], skip: int = 0) -> Fault:
    """The fault of a message that breaks its type's rules.

    Args:
        errors: what pydantic's `ValidationError.errors()` or FastAPI's counterpart gives.
        skip: how many parts of each path are not the message's (FastAPI's `body`).
    """
    told = tuple(
        FieldFault(
            field=_printable(".".join(str(part) for part in error["loc"][skip:])) or "message",
            rule=_printable(error["msg"]),
            value=ascii(error.get("input"))[:80],
        )
        for error in errors[:MAX_FAULTS]
    )
    more = f" (the first {MAX_FAULTS} follow)" if len(errors) > MAX_FAULTS else ""
    message = f"{len(errors)} field(s) break a rule{more}: change them and send the message again"
    code, http, grpc = _WIRE[InvalidRequest]
    return Fault(code, message, http, grpc, told)


def http_fault(status: HTTPStatus, message: str) -> Fault:
    """The fault of a request that HTTP itself refuses: its code is the status's name."""
    return Fault(status.name.lower(), message, status, StatusCode.INVALID_ARGUMENT)


def _openai_type(status: HTTPStatus) -> str:
    openai = {
        HTTPStatus.UNAUTHORIZED: "authentication_error",
        HTTPStatus.FORBIDDEN: "permission_error",
        HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    }
    if status in openai:
        return openai[status]
    return "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"


def _printable(text: str) -> str:
    """Shortened, and with what UTF-8 can't carry (lone surrogates) escaped."""
    return text[:MAX_MESSAGE].encode("utf-8", "backslashreplace").decode()
