"""Starting and stopping both servers."""

import asyncio
import socket
import threading
import time

import httpx
import pytest
from fake_service import SLOW, FakeService
from prometheus_client import CollectorRegistry

from running import running
from townsfolk.config import GrpcSettings, HttpSettings, Settings
from townsfolk.errors import ConfigError
from townsfolk.gateway.serve import Ports, serve


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


IPV6 = pytest.param("::1", marks=pytest.mark.skipif(not _has_ipv6(), reason="no IPv6 loopback"))


@pytest.mark.parametrize("host", ["127.0.0.1", IPV6])
@pytest.mark.parametrize("section", ["http", "grpc"])
def test_a_port_that_is_taken_is_told_with_what_to_do(section: str, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as other:
        port = other.getsockname()[1]
        http = HttpSettings(host=host, port=port if section == "http" else 0)
        settings = Settings(http=http, grpc=GrpcSettings(host=host, port=port if section == "grpc" else 0))
        told = f"port {port} on {host} is taken: .* TOWNSFOLK_{section.upper()}__PORT"
        with pytest.raises(ConfigError, match=told):
            asyncio.run(serve(FakeService(), settings, CollectorRegistry()))


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
@pytest.mark.parametrize("section", ["http", "grpc"])
def test_an_address_of_another_machine_is_told(section: str, host: str) -> None:
    http = HttpSettings(host=host if section == "http" else "127.0.0.1", port=0)
    grpc = GrpcSettings(host=host if section == "grpc" else "127.0.0.1", port=0)
    settings = Settings(http=http, grpc=grpc, api_token="x" * 16)
    with pytest.raises(ConfigError, match=f"set {section}.host to an address of this machine"):
        asyncio.run(serve(FakeService(), settings, CollectorRegistry()))


def test_answers_do_not_wait_for_the_clients_acknowledgement() -> None:
    with running(FakeService()) as target, httpx.Client(base_url=target.http) as http:
        http.get("/v1/models")
        started = time.monotonic()
        for _ in range(20):
            http.get("/v1/models")
        assert (time.monotonic() - started) / 20 < 0.035  # 0.04 and more where they do


def test_grpc_can_be_left_out() -> None:
    async def once() -> Ports:
        bound = asyncio.get_running_loop().create_future()
        settings = Settings(http=HttpSettings(port=0), grpc=GrpcSettings(enabled=False))
        task = asyncio.create_task(serve(FakeService(), settings, CollectorRegistry(), bound.set_result))
        ports: Ports = await bound
        task.cancel()
        await asyncio.wait([task])
        return ports

    assert asyncio.run(once()).grpc is None


def test_it_stops_in_good_time_though_a_turn_is_under_way() -> None:
    service = FakeService()
    with running(service) as target:
        body = {"persona": "guard", "context": SLOW}
        thread = threading.Thread(target=_post, args=(target.http + "/v1/infer/stream", body))
        thread.start()
        assert service.started.wait(5)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 6
    assert service.cancelled.is_set()
    thread.join()


def _post(url: str, body: dict[str, str]) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(url, json=body, timeout=10)
