"""What the HTTP server does not let in, and what becomes of work that nobody waits for."""

import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest
from fake_service import SLOW, FakeService

from running import Target, running

TOKEN = "a token of more than 16"
JSON = {"content-type": "application/json"}
SLOW_TURN = {"persona": "guard", "context": SLOW}
LIMITS = {"max_body_bytes": 2_000, "body_timeout_s": 0.4, "request_timeout_s": 1.5, "max_concurrent": 2}


@pytest.fixture(scope="module")
def narrow(service: FakeService) -> Iterator[Target]:
    """A server with small limits and a token."""
    with running(service, http=LIMITS, api_token=TOKEN) as target:
        yield target


@pytest.fixture
def http(narrow: Target) -> httpx.Client:
    return httpx.Client(base_url=narrow.http, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)


@pytest.fixture(autouse=True)
def _fresh(service: FakeService) -> None:
    service.started.clear()
    service.cancelled.clear()


@pytest.mark.parametrize("path", ["/v1/adapters", "/metrics", "/docs", "/openapi.json", "/nothing"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {TOKEN}"])
def test_without_the_token_there_is_nothing(narrow: Target, path: str, header: str | None) -> None:
    answer = httpx.get(narrow.http + path, headers={"Authorization": header} if header else {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_refused_body_does_not_cost_the_connection(narrow: Target) -> None:
    connection = HTTPConnection(urlsplit(narrow.http).netloc, timeout=10)
    connection.request("POST", "/v1/infer", body=b" " * 1_000_000)
    refused = connection.getresponse()
    assert (refused.status, b"unauthorized" in refused.read()) == (401, True)
    same = connection.sock
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    assert connection.sock is same
    connection.close()


def test_health_needs_no_token(narrow: Target) -> None:
    assert httpx.get(narrow.http + "/healthz").status_code == 200


def test_a_large_body_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/infer", content=b"x" * 10_000_000, headers=JSON)
    assert answer.status_code == 413
    assert "more than 2000 bytes" in answer.json()["error"]["message"]


def test_a_large_body_in_chunks_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/infer", content=iter([b" " * 900] * 3), headers=JSON)
    assert answer.status_code == 413


def test_a_slow_body_is_refused(narrow: Target) -> None:
    with _connected(narrow, "/v1/infer", length=100) as connection:
        connection.sendall(b'{"persona"')
        assert b" 408 " in connection.recv(4_096)


def _connected(target: Target, path: str, length: int) -> socket.socket:
    """A connection that has sent the head of a POST."""
    address = urlsplit(target.http)
    assert address.hostname
    assert address.port
    connection = socket.create_connection((address.hostname, address.port), timeout=10)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode())
    return connection


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_900,
        b'{"persona":"\xff"}',
        b'{"persona":"\\ud800"}',
        b'{"persona":NaN}',
        b'{"persona":Infinity}',
        b"{",
        b"\x00",
        b"\xff\xfe{\x00}\x00",
    ],
)
def test_what_is_not_json_is_a_400(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v1/infer", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'""', b'{"persona":1e999,"context":{}}'])
def test_json_that_is_not_the_message_is_a_422(http: httpx.Client, body: bytes) -> None:
    assert http.post("/v1/infer", content=body, headers=JSON).status_code == 422


def test_a_body_that_does_not_say_it_is_json_is_a_422(http: httpx.Client) -> None:
    assert http.post("/v1/infer", content=b'{"persona":"guard","context":"x"}').status_code == 422


def test_a_call_that_takes_too_long_is_dropped(http: httpx.Client, service: FakeService) -> None:
    answer = http.post("/v1/infer", json=SLOW_TURN)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert service.cancelled.wait(1)


def test_too_many_calls_at_once_are_busy_but_monitors_are_not(
    http: httpx.Client, service: FakeService
) -> None:
    slow = [threading.Thread(target=http.post, args=("/v1/infer",), kwargs={"json": SLOW_TURN}) for _ in "12"]
    for thread in slow:
        thread.start()
    assert service.started.wait(5)
    time.sleep(0.2)
    answer = http.get("/v1/adapters")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert http.get("/metrics").status_code == http.get("/readyz").status_code == 200
    for thread in slow:
        thread.join()
    assert http.get("/v1/adapters").status_code == 200


@pytest.mark.parametrize("path", ["/v1/infer", "/v1/infer/stream"])
def test_a_client_that_goes_stops_the_turn(target: Target, service: FakeService, path: str) -> None:
    body = b'{"persona":"guard","context":"take your time"}'
    with _connected(target, path, len(body)) as connection:
        connection.sendall(body)
        assert service.started.wait(5)
        assert not service.cancelled.is_set()
    assert service.cancelled.wait(2)


def test_a_chat_that_is_left_stops(target: Target, service: FakeService) -> None:
    chat = {"model": "guard", "stream": True, "messages": [{"role": "user", "content": SLOW}]}
    with httpx.stream("POST", target.http + "/v1/chat/completions", json=chat, timeout=10) as answer:
        next(answer.iter_lines())
        assert service.started.wait(5)
    assert service.cancelled.wait(2)


def test_a_client_that_goes_before_its_body_is_whole_does_no_harm(target: Target) -> None:
    with _connected(target, "/v1/infer", length=100) as connection:
        connection.sendall(b"{")
    assert httpx.get(target.http + "/v1/adapters").status_code == 200
