"""Who may come in and how many at once: the same rules for HTTP and gRPC."""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager

from townsfolk.errors import Busy, Unauthorized

RETRY_AFTER_MS = 1_000


def authorize(token: str, header: str | bytes | None) -> None:
    """Compare an `authorization` header with the API token in constant time.

    Args:
        token: empty: everybody may come in.
        header: as it came, `Bearer <token>`.

    Raises:
        Unauthorized: it does not match.
    """
    if not token:
        return
    given = header.encode("utf-8", "surrogateescape") if isinstance(header, str) else header or b""
    scheme, _, credentials = given.partition(b" ")
    if scheme.lower() != b"bearer" or not hmac.compare_digest(credentials.strip(), token.encode()):
        raise Unauthorized(
            "authorization is missing or wrong: send `Authorization: Bearer <token>` with the token that "
            "the service was given as TOWNSFOLK_API_TOKEN"
        )


class Gate:
    """Bounds the calls under way at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Hold a place while inside.

        Raises:
            Busy: all places are taken.
        """
        if self._inside >= self._limit:
            raise Busy(
                f"{self._inside} calls are under way, which is the most there may be (max_concurrent): retry "
                f"after {RETRY_AFTER_MS} ms",
                RETRY_AFTER_MS,
            )
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
