"""Runs the real servers on free ports in a thread of their own."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from townsfolk.config import Settings
from townsfolk.gateway.http_app import NO_MOUNTS, Mounts
from townsfolk.gateway.serve import Ports, serve
from townsfolk.gateway.service import Service

NO_FILE = "/nonexistent"
"""Whoever runs the tests may have tokens of their own."""


@dataclass(frozen=True)
class Target:
    """Where a running service is reached."""

    http: str
    """`http://127.0.0.1:port`"""
    grpc: str
    """`127.0.0.1:port`"""
    token: str = ""
    admin: str = ""
    """As `http`, where operators have a port of their own."""


@contextmanager
def running(
    service: Service,
    mounts: Mounts = NO_MOUNTS,
    registry: CollectorRegistry | None = None,
    **settings: Any,
) -> Iterator[Target]:
    """Serve until the block ends. `settings` replace those of free ports; /metrics shows `registry`."""
    sections: dict[str, Any] = {"http": {"port": 0}, "grpc": {"port": 0}, "tokens_file": NO_FILE}
    for name, value in settings.items():
        sections[name] = (
            {**sections[name], **value} if isinstance(value, dict) and name in sections else value
        )
    with _served(service, Settings(**sections), mounts, registry or CollectorRegistry()) as ports:
        scheme = "https" if "tls" in settings else "http"
        http, grpc = f"{scheme}://127.0.0.1:{ports.http}", f"127.0.0.1:{ports.grpc}"
        admin = f"{scheme}://127.0.0.1:{ports.admin}" if ports.admin else ""
        yield Target(http, grpc, settings.get("api_token", ""), admin)


@contextmanager
def _served(
    service: Service, settings: Settings, mounts: Mounts, registry: CollectorRegistry
) -> Iterator[Ports]:
    bound: list[Ports] = []
    up = threading.Event()
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))

        def on_bound(ports: Ports) -> None:
            bound.append(ports)
            up.set()

        task = asyncio.create_task(serve(service, settings, registry, on_bound, mounts))
        await stop.wait()
        task.cancel()
        await asyncio.wait([task])

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert up.wait(20), "the servers did not start"
        yield bound[0]
    finally:
        loop, stop = stops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive(), "the servers did not stop"
