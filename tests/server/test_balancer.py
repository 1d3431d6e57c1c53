"""The balancer of deploy/haproxy, started before two services: who is asked, also when one goes."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import httpx
import pytest
from fake_service import FakeService
from starlette.responses import PlainTextResponse

from running import Target, running
from townsfolk.demo.children import free_port
from townsfolk.gateway.pb import townsfolk_pb2, townsfolk_pb2_grpc

CONFIG = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
TURN = {"persona": "guard", "context": "hello you"}
START_S, AWAY_S = 20.0, 20.0
pytestmark = pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed")


class Two:
    """Two services; the console of each says which it is."""

    def __init__(self) -> None:
        self.services = FakeService(), FakeService()
        self._open = [ExitStack(), ExitStack()]
        self.targets = [
            stack.enter_context(running(service, {"/console": PlainTextResponse(str(number))}))
            for number, (stack, service) in enumerate(zip(self._open, self.services, strict=True))
        ]

    def asked(self) -> list[int]:
        return [len(service.seen) for service in self.services]

    def stop(self, number: int) -> None:
        self._open[number].close()


@pytest.fixture
def two() -> Iterator[Two]:
    both = Two()
    yield both
    for number in range(2):
        both.stop(number)


@pytest.fixture
def balanced(two: Two, tmp_path: Path) -> Iterator[Target]:
    """The file as it is, but for addresses: there each service has a machine of its own."""
    http, grpc_port = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
    text = CONFIG.read_text().replace("bind :8123", f"bind 127.0.0.1:{http}")
    text = text.replace("bind :50051", f"bind 127.0.0.1:{grpc_port}")
    for number, target in enumerate(two.targets, start=1):
        here = target.http.removeprefix("http://")
        text = text.replace(f'"${{TOWNSFOLK_{number}}}:8123"', here)
        grpc_server = rf'"\$\{{TOWNSFOLK_{number}\}}:50051"(.*) port 8123'
        text = re.sub(grpc_server, rf"{target.grpc}\1 port {here.partition(':')[2]}", text)
    assert "TOWNSFOLK_" not in text.partition("global")[2]
    file = tmp_path / "haproxy.cfg"
    file.write_text(text)
    haproxy = subprocess.Popen([str(HAPROXY), "-db", "-f", str(file)])
    address = Target(f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc_port}")
    wait_until_served(address)
    yield address
    haproxy.terminate()
    haproxy.wait()


def wait_until_served(address: Target) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address.http}/readyz").is_success:
                return
        except httpx.ConnectError:
            pass
        time.sleep(0.1)
    raise AssertionError("the balancer serves nothing")


def turn(address: Target, token: str) -> httpx.Response:
    return httpx.post(f"{address.http}/v1/infer", json=TURN, headers={"Authorization": f"Bearer {token}"})


def test_a_game_keeps_to_one_service_until_that_goes(two: Two, balanced: Target) -> None:
    for _ in range(4):
        assert turn(balanced, "game-one").json()["text"] == "hello you "
    asked = two.asked()
    assert sorted(asked)[0] == 0
    two.stop(asked.index(max(asked)))
    deadline = time.monotonic() + AWAY_S
    while turn(balanced, "game-one").status_code != 200:  # until two of its checks have failed
        assert time.monotonic() < deadline, "the other one does not take over"
        time.sleep(0.2)
    assert min(two.asked()) > 0


def test_a_browser_keeps_to_one_console(balanced: Target) -> None:
    assert len({httpx.get(f"{balanced.http}/console/").text for _ in range(4)}) == 1
    assert httpx.get(f"{balanced.http}/metrics").status_code == 404


def test_grpc_goes_the_same_way(balanced: Target) -> None:
    with grpc.insecure_channel(balanced.grpc) as channel:
        villagers = townsfolk_pb2_grpc.TownsfolkStub(channel)
        request = townsfolk_pb2.InferRequest(persona="guard", context="hello you")
        reply = villagers.Infer(request, timeout=START_S, wait_for_ready=True)
    assert reply.text == "hello you "
