"""The servers in one event loop, from bound ports to a clean end.

Signals are the caller's: `serve` ends when it is cancelled.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from townsfolk.config import Settings, address
from townsfolk.errors import ConfigError
from townsfolk.gateway.front import Front
from townsfolk.gateway.grpc_server import GrpcServer
from townsfolk.gateway.http_app import NO_MOUNTS, Mounts, create_http_app
from townsfolk.gateway.metrics import CallMetrics
from townsfolk.gateway.service import Service
from townsfolk.gateway.tls import Certificate

log = logging.getLogger(__name__)

STOP_GRACE_S = 2
KEEP_ALIVE_S = 75
"""Longer than a game's pauses between steps, so that a step seldom pays for a new connection."""


@dataclass(frozen=True)
class Ports:
    """What was bound; a setting of 0 took a free port."""

    http: int
    grpc: int | None
    admin: int | None = None


async def serve(
    service: Service,
    settings: Settings,
    registry: CollectorRegistry,
    on_bound: Callable[[Ports], None] = lambda ports: None,
    mounts: Mounts = NO_MOUNTS,
) -> None:
    """Serve HTTP, and gRPC where it is enabled, until cancelled.

    Args:
        on_bound: told the ports once all are bound; connections made from then on are answered.
        mounts: what operators have beside the routes: path -> an application with a login of its own.

    Raises:
        ConfigError: a port can't be had, a certificate or the tokens can't be read.
    """
    front, certificate = Front.of(service, settings, registry), Certificate.of(settings.tls)
    _tell_if_readable(settings)
    with ExitStack() as bound:
        doors = [bound.enter_context(_bound(door)) for door in _doors(settings)]
        rpc, grpc_port = _bind_grpc(front, certificate) if settings.grpc.enabled else (None, None)
        metrics = CallMetrics("http", registry)
        apps = [_http_app(front, metrics, door, mounts) for door, _ in doors]
        https = [_http_server(app, certificate) for app in apps]
        tasks = [asyncio.create_task(http.serve([at])) for http, (_, at) in zip(https, doors, strict=True)]
        if rpc is not None:
            tasks.append(asyncio.create_task(rpc.run()))
        try:
            ports = [at.getsockname()[1] for _, at in doors]
            on_bound(Ports(ports[0], grpc_port, *ports[1:]))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for http in https:
                http.should_exit = True
            await _end(tasks, tasks[len(https) :])


async def _end(tasks: list["asyncio.Task[None]"], cancelled: list["asyncio.Task[None]"]) -> None:
    """All have a few seconds; one that ended by itself has failed, and its error is raised."""
    for task in cancelled:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


@dataclass(frozen=True)
class _Door:
    """A port for HTTP, and for whom it is."""

    host: str
    port: int
    setting: str
    games: bool = True
    admin: bool = True


def _doors(settings: Settings) -> list[_Door]:
    http = settings.http
    if http.admin_port is None:
        return [_Door(http.host, http.port, "http.port")]
    return [
        _Door(http.host, http.port, "http.port", admin=False),
        _Door(http.admin_host, http.admin_port, "http.admin_port", games=False),
    ]


def _tell_if_readable(settings: Settings) -> None:
    if settings.tls.certificate is None and (exposed := settings.exposed_hosts()):
        log.warning(
            "tokens and what players say go unencrypted over %s: set tls.certificate and tls.key, or have a "
            "proxy that encrypts before the service",
            ", ".join(exposed),
        )


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _http_app(front: Front, metrics: CallMetrics, door: _Door, mounts: Mounts) -> ASGIApp:
    carried = mounts if door.admin else NO_MOUNTS
    return create_http_app(front, metrics, games=door.games, admin=door.admin, mounts=carried)


def _http_server(app: ASGIApp, certificate: Certificate | None) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
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
    config.load()  # what it loads itself is a certificate that can't be renewed
    config.ssl = certificate.for_http() if certificate else None
    return _HttpServer(config)


@contextmanager
def _bound(door: _Door) -> Iterator[tuple[_Door, socket.socket]]:
    try:
        listening = _listen(door.host, door.port)
    except OSError as error:
        raise ConfigError(_not_bound(door.setting, door.host, door.port, error)) from error
    with listening:
        # Connections inherit it. asyncio sets it only on sockets that name their protocol, which those of
        # create_server don't; without it each answer waits 40 ms for the client's delayed ACK.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield door, listening


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family)


def _bind_grpc(front: Front, certificate: Certificate | None) -> tuple[GrpcServer, int]:
    host, port = front.settings.grpc.host, front.settings.grpc.port
    server = GrpcServer(front)
    try:
        return server, server.bind(address(host, port), certificate)
    except RuntimeError as error:
        raise ConfigError(_not_bound("grpc.port", host, port, _reason(host, port))) from error


def _reason(host: str, port: int) -> OSError:
    """Why the port can't be had: grpc does not say, so ask the system."""
    try:
        with _listen(host, port):
            return OSError("it was not free a moment ago")
    except OSError as error:
        return error


def _not_bound(setting: str, host: str, port: int, error: OSError) -> str:
    remedy = f"choose another with TOWNSFOLK_{setting.upper().replace('.', '__')} (0: any free port)"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: stop the program that has it, or {remedy}"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} needs root: {remedy}"
    address = setting.replace("port", "host")
    return f"port {port} on {host} can't be bound ({error}): set {address} to an address of this machine"
