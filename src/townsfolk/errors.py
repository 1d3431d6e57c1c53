"""The whole error tree. Every error tells the value, the rule it broke and the remedy.

    TownsfolkError
    ├── ConfigError         a setting is wrong; every fault of a file is listed at once
    ├── InvalidRequest      the caller's message breaks a rule (HTTP 422, INVALID_ARGUMENT)
    │   └── UnknownName     persona, adapter, game or turn that is not there (404, NOT_FOUND)
    ├── NotConnected        a game stepped without connecting first (409, FAILED_PRECONDITION)
    ├── Unauthorized        token missing or wrong (401, UNAUTHENTICATED)
    ├── Forbidden           the token does not reach that far (403, PERMISSION_DENIED)
    ├── Busy                queue full; says when to retry (503 + Retry-After, RESOURCE_EXHAUSTED)
    │   └── TooOften        this game or player asks too often (429 + Retry-After, RESOURCE_EXHAUSTED)
    ├── DeadlineExceeded    the caller's time is up (504, DEADLINE_EXCEEDED)
    ├── ModelError          a base model file that can't be served
    ├── AdapterError        an adapter that can't be served: wrong base, shape, NaN, format, folder (422)
    ├── StoreError          the database can't be used; the spool keeps the rows
    └── LaunchError         the demo can't start: a port, the disk, the network, a program is not there

Errors of libraries are translated at the border where they arise, so that a caller
needs no name from SQLAlchemy, ONNX Runtime or grpc.
"""


class TownsfolkError(Exception):
    """Root of all errors that this package raises on purpose."""


class ConfigError(TownsfolkError):
    """A setting breaks its rule."""


class InvalidRequest(TownsfolkError):
    """A message breaks the contract."""


class UnknownName(InvalidRequest):
    """The message names something that is not there."""


class NotConnected(TownsfolkError):
    """The game has not connected, or the service was restarted since: connect again."""


class Unauthorized(TownsfolkError):
    """The API token is missing or wrong."""


class Forbidden(TownsfolkError):
    """The token is known, but its scopes or its game don't reach that far."""


class Busy(TownsfolkError):
    """The queue is full.

    Attributes:
        retry_after_ms: when a new try is likely to be taken, in milliseconds.
    """

    def __init__(self, message: str, retry_after_ms: int) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class TooOften(Busy):
    """This game or this player asks more often than it may; others are served."""


class DeadlineExceeded(TownsfolkError):
    """The work was not done by its deadline and has been dropped."""


class ModelError(TownsfolkError):
    """The base model can't be read or served."""


class AdapterError(TownsfolkError):
    """The adapter can't be read or served."""


class StoreError(TownsfolkError):
    """The database can't be reached or refuses the write."""


class LaunchError(TownsfolkError):
    """What the demo needs is not there, or one of its processes has ended."""
