"""Both servers in one event loop, from bound ports to a clean end.

Signals are the caller's: `serve` ends when it is cancelled.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from prometheus_client import CollectorRegistry

from townsfolk.config import Settings
from townsfolk.errors import ConfigError
from townsfolk.gateway.grpc_server import GrpcServer, create_grpc_server
from townsfolk.gateway.http_app import create_http_app
from townsfolk.gateway.service import Service

STOP_GRACE_S = 2
KEEP_ALIVE_S = 75
"""Longer than a game's pauses between steps, so that a step seldom pays for a new connection."""


@dataclass(frozen=True)
class Ports:
    """What was bound; a setting of 0 took a free port."""

    http: int
    grpc: int | None


async def serve(
    service: Service,
    settings: Settings,
    registry: CollectorRegistry,
    on_bound: Callable[[Ports], None] = lambda ports: None,
) -> None:
    """Serve HTTP, and gRPC where it is enabled, until cancelled.

    Args:
        on_bound: told the ports once both are bound; connections made from then on are answered.

    Raises:
        ConfigError: a port can't be had.
    """
    with _http_socket(settings) as listening:
        rpc, grpc_port = _bind_grpc(service, settings, registry) if settings.grpc.enabled else (None, None)
        http = _http_server(service, settings, registry)
        tasks = [asyncio.create_task(http.serve(sockets=[listening]))]
        if rpc is not None:
            tasks.append(asyncio.create_task(rpc.run()))
        try:
            on_bound(Ports(listening.getsockname()[1], grpc_port))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            http.should_exit = True
            await _end(tasks)


async def _end(tasks: list["asyncio.Task[None]"]) -> None:
    """Both have a few seconds; one that ended by itself has failed, and its error is raised."""
    _, *grpc_tasks = tasks
    for task in grpc_tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _http_server(service: Service, settings: Settings, registry: CollectorRegistry) -> uvicorn.Server:
    config = uvicorn.Config(
        create_http_app(service, settings, registry),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_GRACE_S,
    )
    return _HttpServer(config)


@contextmanager
def _http_socket(settings: Settings) -> Iterator[socket.socket]:
    host, port = settings.http.host, settings.http.port
    try:
        listening = _listen(host, port)
    except OSError as error:
        raise ConfigError(_not_bound("http", host, port, error)) from error
    with listening:
        # Connections inherit it. asyncio sets it only on sockets that name their protocol, which those of
        # create_server don't; without it each answer waits 40 ms for the client's delayed ACK.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listening


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family)


def _bind_grpc(service: Service, settings: Settings, registry: CollectorRegistry) -> tuple[GrpcServer, int]:
    host, port = settings.grpc.host, settings.grpc.port
    server = create_grpc_server(service, settings, registry)
    try:
        return server, server.bind(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise ConfigError(_not_bound("grpc", host, port, _reason(host, port))) from error


def _reason(host: str, port: int) -> OSError:
    """Why the port can't be had: grpc does not say, so ask the system."""
    try:
        with _listen(host, port):
            return OSError("it was not free a moment ago")
    except OSError as error:
        return error


def _not_bound(section: str, host: str, port: int, error: OSError) -> str:
    remedy = f"choose another with TOWNSFOLK_{section.upper()}__PORT (0: any free port)"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: stop the program that has it, or {remedy}"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} needs root: {remedy}"
    return f"port {port} on {host} can't be bound ({error}): set {section}.host to an address of this machine"
