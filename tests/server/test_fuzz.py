"""Nothing that a caller sends brings the service down, over HTTP or gRPC.

The tests know only where the service is (`fuzzed`): another param of that fixture points them at
another service. A status of 5xx is a bug but for "busy" and "deadline_exceeded", which are documented.
"""

import random
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
import schemathesis
from fake_service import FakeService
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from running import Target, running
from tiny_model import tiny_settings
from townsfolk.gateway.convert import to_protobuf
from townsfolk.gateway.grpc_server import SERVICES
from townsfolk.gateway.pb import townsfolk_pb2
from townsfolk.serving import Rooms, Village
from townsfolk.types import StepRequest
from world import NASTY

TOKEN = "a-token-of-more-than-16"
METADATA = (("authorization", f"Bearer {TOKEN}"),)
METHODS = {
    f"/{service.full_name}/{method.name}": method for service in SERVICES for method in service.methods
}
BOUNDED = settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
)
OUR_FAULT = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS}
DOCUMENTED = {"busy", "deadline_exceeded"}


@pytest.fixture(scope="module", params=["wire", "whole"])
def fuzzed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The service that is fuzzed, with TOKEN as its token: the wire alone, then all rooms behind it."""
    if request.param == "wire":
        with running(FakeService(), api_token=TOKEN) as target:
            yield target
        return
    rooms = Rooms.open(tiny_settings(tmp_path_factory.mktemp("whole")))
    with running(Village(rooms), api_token=TOKEN) as target:
        yield target
    rooms.close()


@pytest.fixture(scope="module")
def http(fuzzed: Target) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    with httpx.Client(base_url=fuzzed.http, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def channel(fuzzed: Target) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(fuzzed.grpc) as channel:
        yield channel


@pytest.fixture(autouse=True, scope="module")
def _well_afterwards(fuzzed: Target) -> Iterator[None]:
    yield
    _assert_well(fuzzed)


def _assert_well(target: Target) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(target.http + "/readyz", headers=headers, timeout=10).status_code == 200
    with grpc.insecure_channel(target.grpc) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def _assert_no_bug(answer: Any) -> None:
    if answer.status_code >= 500:
        assert answer.json()["error"]["code"] in DOCUMENTED, answer.text


# --- everything that the OpenAPI page allows, and much that it does not ---


@pytest.fixture(scope="module")
def operations(fuzzed: Target) -> list[Any]:
    """Of schemathesis: one per path and method of the OpenAPI page."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    schema: Any = schemathesis.openapi.from_url(f"{fuzzed.http}/openapi.json", headers=headers)
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_openapi(operations: list[Any], mode: GenerationMode) -> None:
    assert len(operations) >= 15
    for operation in operations:
        if mode is GenerationMode.POSITIVE or operation.method != "get":  # nothing in a GET can be wrong
            strategy = operation.as_strategy(generation_mode=mode)
            fuzz: Any = given(strategy)
            settings(BOUNDED, max_examples=40)(fuzz(_call))()


def _call(case: Any) -> None:
    """Rules beyond the schema (a path outside its folder) may refuse what fits it, and numbers may come
    as Lua writes them (1.0), which pydantic takes though they do not fit."""
    beyond = [positive_data_acceptance, negative_data_rejection, not_a_server_error]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = case.call(headers=headers)
    case.validate_response(answer, excluded_checks=beyond, headers=headers)
    _assert_no_bug(answer)


# --- text that means something to the model, the database or the terminal ---


def _bodies(text: str) -> dict[str, dict[str, Any]]:
    """Requests with `text` wherever a player's words can stand."""
    node = {
        "name": "default:sign",
        "title": text[:500],
        "distance": 1,
        "direction": "north",
        "text": text[:500],
    }
    event = {"kind": "spoken_to", "at": 1, "who": "sam", "text": text[:500]}
    seen = {
        "villager_id": "v1",
        "name": text[:500],
        "persona": "explorer",
        "snapshot_time": 1,
        "me": {"position": {"x": 0, "y": 0, "z": 0}, "hp": 20, "doing": text[:500]},
        "around": {"nodes": [node]},
        "events": [event],
    }
    turn = {"persona": "explorer", "context": text, "max_len": 8}
    return {
        "/v1/games": {
            "game_id": "g",
            "game_name": text[:500],
            "actions": [{"name": "wave", "description": text[:500], "phrases": [text[:500]]}],
        },
        "/v1/step": {"game_id": "g", "observations": [seen], "max_wait_ms": 5},
        "/v1/infer": turn,
        "/v1/infer/stream": turn,
        "/v1/chat/completions": {
            "model": "explorer",
            "max_tokens": 8,
            "messages": [{"role": "system", "content": text}, {"role": "user", "content": text}],
        },
        "/v1/policy/check": {"persona": "explorer", "action": {"name": "say", "args": [text[:500]]}},
        "/v1/adapters": {"name": "explorer", "path": text[:500]},
        "/v1/ratings": {"turn_id": "t1", "player": "sam", "value": 1, "comment": text[:500]},
        "/v1/log": {"entries": [{"game_id": "g", "kind": "left", "text": text[:500]}]},
        "/v1/feedback/forget": {"game_id": "g", "player": text[:64]},
        "/v1/demos": {
            "game_id": "g",
            "demo_id": "d",
            "name": "hut",
            "player": "sam",
            "steps": [
                {"number": 0, "action": text[:500], "place": {"x": 0, "y": 0, "z": 0}, "observation": seen}
            ],
        },
    }


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_nasty_text_is_only_text(http: httpx.Client, text: str) -> None:
    for path, body in _bodies(text).items():
        _assert_no_bug(http.post(path, json=body))


@BOUNDED
@given(st.text(min_size=1, max_size=600))
def test_any_text_is_only_text(http: httpx.Client, text: str) -> None:
    for path, body in _bodies(text).items():
        _assert_no_bug(http.post(path, json=body))


# --- bytes that are no request ---


@pytest.mark.parametrize("path", [*_bodies(""), "/v1/nothing"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe\xfd",
        b'{"persona": "\xc3\x28"}',
        b'{"persona": "\\ud800", "context": "\\udfff"}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"max_len": ' + b"9" * 100_000 + b"}",
        b'{"max_len": NaN, "at": -Infinity}',
        b"\x00" * 1_000,
        b"x" * 10_000_000,
    ],
    ids=[
        "empty",
        "utf8",
        "utf8-inside",
        "surrogates",
        "deep-list",
        "deep-map",
        "long-number",
        "nan",
        "nul",
        "10MB",
    ],
)
def test_bytes_that_are_no_json(http: httpx.Client, path: str, body: bytes) -> None:
    answer = http.post(path, content=body)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]["message"]


@BOUNDED
@given(st.binary(max_size=400))
def test_bytes_that_are_no_http(fuzzed: Target, data: bytes) -> None:
    address = urlsplit(fuzzed.http)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=5) as connection:
        connection.sendall(data + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert not connection.recv(64).startswith(b"HTTP/1.1 5")


@BOUNDED
@given(st.sampled_from(sorted(METHODS)), st.binary(max_size=200))
def test_bytes_that_are_no_protobuf(channel: grpc.Channel, method: str, data: bytes) -> None:
    assert _status(channel, method, data) not in OUR_FAULT


def test_broken_protobuf(channel: grpc.Channel) -> None:
    body = _bodies(NASTY[0])["/v1/step"]
    whole = to_protobuf(StepRequest.model_validate(body), townsfolk_pb2.StepRequest).SerializeToString()
    for broken in _broken(whole, times=300):
        assert _status(channel, "/townsfolk.v1.Townsfolk/Step", broken) not in OUR_FAULT


def _broken(whole: bytes, times: int) -> Iterator[bytes]:
    """`whole` cut short, or with a few bytes changed; the same each time."""
    chance = random.Random(7)
    for _ in range(times):
        data = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.3 else whole)
        for _ in range(chance.randrange(1, 4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(data)


def test_a_large_protobuf(channel: grpc.Channel) -> None:
    data = townsfolk_pb2.InferRequest(persona="explorer", context="x" * 10_000_000).SerializeToString()
    assert _status(channel, "/townsfolk.v1.Townsfolk/Infer", data) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_method_that_is_not_there(channel: grpc.Channel) -> None:
    assert _status(channel, "/townsfolk.v1.Townsfolk/Nothing", b"") is grpc.StatusCode.UNIMPLEMENTED


def _status(channel: grpc.Channel, path: str, data: bytes) -> grpc.StatusCode:
    method = METHODS.get(path)
    call: Callable[[], Any]
    if method is not None and method.server_streaming:
        call = lambda: list(channel.unary_stream(path)(data, timeout=60, metadata=METADATA))  # noqa: E731
    else:
        call = lambda: channel.unary_unary(path)(data, timeout=60, metadata=METADATA)  # noqa: E731
    try:
        call()
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK
