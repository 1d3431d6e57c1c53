"""PostgreSQL connections that do not wait for a server that has fallen silent.

A server that is frozen, or behind a network that swallows packets, ends no wait by itself: its kernel takes
what it is sent, so libpq's timeouts don't pass, and those of the server are frozen with it. Whoever has heard
nothing for `SILENCE_S` therefore looks whether a new connection is answered. If so, the query is merely slow
and goes on; if not, its connection is closed, and for `REST_S` nobody waits for this server again.
Refuses to know what is asked of it.
"""

import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import psycopg
from psycopg.errors import ConnectionTimeout
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

LOCK_S = 5
SILENCE_S = 2.0
CONNECT_S = 3
REST_S = 5.0


def make_postgres_engine(url: URL) -> Engine:
    """An engine on whose server nobody waits longer than `SILENCE_S` and `CONNECT_S` for a sign of life."""
    patience = {"connect_timeout": CONNECT_S, "tcp_user_timeout": LOCK_S * 1000}
    engine = create_engine(url, pool_pre_ping=True, connect_args=patience)
    event.listen(engine, "do_connect", Line().connect)
    event.listen(engine, "connect", _set_up)
    return engine


class Line:
    """The way to one server, shared by all connections to it."""

    def __init__(self) -> None:
        self._silent_until = 0.0

    def connect(
        self, _dialect: object, _entry: object, args: list[Any], params: dict[str, Any]
    ) -> "Connection":
        """A connection, for SQLAlchemy's pool.

        Raises:
            ConnectionTimeout: nobody answers, or nobody did a moment ago.
            psycopg.OperationalError: whoever answers refuses.
        """
        dial = partial(self._dial, partial(Connection.connect, *args, **params))
        connection = dial()
        connection.redial = dial
        return connection

    def _dial(self, connect: Callable[[], "Connection"]) -> "Connection":
        now = time.monotonic()
        if now < self._silent_until:
            raise ConnectionTimeout("the server has fallen silent: it hangs, or the network swallows packets")
        if self._silent_until:
            self._silent_until = now + CONNECT_S  # one looks; nobody else waits for what it finds
        try:
            connection = connect()
        except ConnectionTimeout:
            self._silent_until = time.monotonic() + REST_S
            raise
        except psycopg.Error:
            self._silent_until = 0.0
            raise
        self._silent_until = 0.0
        return connection


class Connection(psycopg.Connection[Any]):
    """One that is closed once its server has fallen silent."""

    redial: Callable[[], "Connection"]
    """Another connection to the same server; raises as `Line.connect`."""

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
        """As psycopg's, for every statement."""
        return super().wait(self._doubting(gen), *args, **options)

    def _doubting(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """`gen`, a statement under way: psycopg resumes it when something comes, and every 0.1 s else."""
        try:
            doubt_at, wanted = time.monotonic() + SILENCE_S, next(gen)
            while True:
                came = yield wanted
                if not came and time.monotonic() > doubt_at:
                    self._look()
                    doubt_at = time.monotonic() + SILENCE_S
                wanted = gen.send(came)
        except StopIteration as end:
            return end.value

    def _look(self) -> None:
        try:
            self.redial().close()
        except ConnectionTimeout:
            self.close()
            raise
        except psycopg.OperationalError:
            pass  # whoever refuses is there


def _set_up(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.autocommit = True  # else what is set here is undone by the pool's first rollback
    connection.execute(f"SET lock_timeout = '{LOCK_S}s'")
    connection.autocommit = False
