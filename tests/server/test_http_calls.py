"""Each HTTP route: the type that goes in reaches the service, the type that comes out is the answer."""

import json
import re
from typing import Any

import httpx
import pytest
from fake_service import PERSONAS, FakeService

from running import Target
from townsfolk import types
from townsfolk.errors import Busy, ModelError

GAME = {"game_id": "world-1", "actions": [{"name": "wave"}], "personas": ["guard", "poet"]}
SEEN = {"villager_id": "v1", "name": "Anna", "persona": "guard", "snapshot_time": 3.5}
INFER = {"persona": "guard", "context": "hello you"}


@pytest.fixture
def http(target: Target) -> httpx.Client:
    return httpx.Client(base_url=target.http, timeout=10)


def test_a_game_connects_and_steps(http: httpx.Client, service: FakeService) -> None:
    connected = types.Connected.model_validate(http.post("/v1/games", json=GAME).json())
    assert connected.unknown_personas == ("poet",)
    answer = http.post("/v1/step", json={"game_id": "world-1", "observations": [SEEN]})
    reply = types.StepReply.model_validate(answer.json())
    assert [(part.villager_id, part.speech) for part in reply.decisions] == [("v1", "I am Anna.")]
    assert service.seen[-1] == types.StepRequest(
        game_id="world-1", observations=(types.Observation.model_validate(SEEN),)
    )


def test_numbers_may_come_as_lua_writes_them(http: httpx.Client, service: FakeService) -> None:
    assert http.post("/v1/infer", json={**INFER, "max_len": 12.0}).status_code == 200
    assert isinstance(service.seen[-1], types.InferRequest)
    assert service.seen[-1].max_len == 12


def test_a_turn(http: httpx.Client) -> None:
    reply = types.InferReply.model_validate(http.post("/v1/infer", json=INFER).json())
    assert reply == types.InferReply(text="hello you ", actions=("wave",), turn_id="t1")


def test_a_streamed_turn(http: httpx.Client) -> None:
    with http.stream("POST", "/v1/infer/stream", json=INFER) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        chunks = [_chunk(line) for line in answer.iter_lines() if line]
    assert [chunk.text for chunk in chunks] == ["hello ", "you ", ""]
    assert chunks[-1].done
    assert chunks[-1].actions == ("wave",)


def _chunk(line: str) -> types.InferChunk:
    return types.InferChunk.model_validate_json(line.removeprefix("data: "))


def test_a_stream_that_fails_at_once_has_a_status(http: httpx.Client) -> None:
    answer = http.post("/v1/infer/stream", json={**INFER, "persona": "poet"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_name")


def test_a_stream_that_fails_later_ends_with_an_error_event(http: httpx.Client, service: FakeService) -> None:
    service.fail_next(Busy("full", 100))
    lines = http.post("/v1/infer/stream", json=INFER).text.splitlines()
    assert lines[2:4] == ["event: error", lines[3]]
    assert json.loads(lines[3].removeprefix("data: "))["error"]["retry_after_ms"] == 100


def test_policy_adapters_and_feedback(http: httpx.Client, service: FakeService) -> None:
    verdict = http.post(
        "/v1/policy/check", json={"persona": "guard", "action": {"name": "dig", "args": ["a b"]}}
    )
    assert verdict.json() == {"allowed": False, "rule": "fake", "reason": 'dig "a b" is not for fakes'}

    loaded = http.post("/v1/adapters", json={"name": "guard", "path": "/adapters/guard"}).json()
    assert http.get("/v1/adapters").json() == {"adapters": [loaded], "faults": []}
    assert http.delete("/v1/adapters/guard").status_code == 204
    assert http.delete("/v1/adapters/guard").status_code == 404
    refused = http.post("/v1/adapters", json={"name": "guard", "path": "/etc"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "adapter_error")

    version = "a" * 64
    told = http.post("/v1/adapters/promote", json={"name": "guard", "version": version}).json()
    assert told == {"name": "guard", "live": "", "trial": version, "share": 0.25}
    assert http.post("/v1/adapters/promote", json={"name": "guard", "version": "../x"}).status_code == 422
    assert http.post("/v1/adapters/rollback", json={"name": "guard", "reason": "rude"}).json()["trial"] == ""
    assert service.seen[-1:] == [types.RollbackAdapter(name="guard", reason="rude")]
    assert http.post("/v1/adapters/rollback", json={"name": "wizard"}).status_code == 404

    rating = {"turn_id": "t1", "player": "sam", "value": -1}
    assert http.post("/v1/ratings", json=rating).status_code == 204
    assert service.seen[-1:] == [types.Rating(turn_id="t1", player="sam", value=-1)]
    entry = {"game_id": "g", "kind": "answered", "turn_id": "t1"}
    assert http.post("/v1/log", json={"entries": [entry]}).status_code == 204
    assert service.seen[-1:] == [types.LogBatch(entries=(types.LogEntry(**entry),))]
    assert http.post("/v1/log", json={"entries": []}).status_code == 422
    step = {
        "number": 0,
        "action": "place default:wood",
        "place": {"x": 0, "y": 1, "z": 2},
        "observation": SEEN,
    }
    demo = {"game_id": "g", "demo_id": "d", "name": "hut", "player": "sam", "steps": [step]}
    assert http.post("/v1/demos", json=demo).status_code == 204
    assert service.seen[-1:] == [types.DemoBatch.model_validate(demo)]
    assert http.post("/v1/feedback/forget", json={"game_id": "g", "player": "sam"}).status_code == 204
    assert service.seen[-1:] == [types.ForgetPlayer(game_id="g", player="sam")]


def test_models_are_the_personas(http: httpx.Client) -> None:
    assert [model["id"] for model in http.get("/v1/models").json()["data"]] == list(PERSONAS)


def test_busy_says_when_to_come_again(http: httpx.Client, service: FakeService) -> None:
    service.fail_next(Busy("the queue is full", 1_500))
    answer = http.post("/v1/games", json=GAME)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json()["error"]["retry_after_ms"] == 1_500


@pytest.mark.parametrize("error", [ModelError("a path that is nobody's business"), KeyError("secret")])
def test_a_bug_is_a_500_in_the_same_shape(http: httpx.Client, service: FakeService, error: Exception) -> None:
    service.fail_next(error)
    answer = http.post("/v1/games", json=GAME)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/v1/step", 405), ("GET", "/docs/assets/%2e%2e/core.py", 404)],
)
def test_what_is_not_there(http: httpx.Client, method: str, path: str, status: int) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert "openapi.json" in answer.json()["error"]["message"]


def test_a_wrong_method_is_told_all_right_ones(http: httpx.Client) -> None:
    assert http.options("/v1/adapters").headers["Allow"] == "GET, POST"
    assert http.post("/docs").headers["Allow"] == "GET"


def test_all_broken_rules_are_told_at_once(http: httpx.Client) -> None:
    answer = http.post("/v1/infer", json={"persona": "Not One Word", "max_len": 0, "extra": 1})
    assert answer.status_code == 422
    fields = {fault["field"] for fault in answer.json()["error"]["faults"]}
    assert fields == {"persona", "context", "max_len", "extra"}


def test_health_and_readiness(http: httpx.Client, service: FakeService) -> None:
    assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200
    service.ready = (True, "the database is away")
    assert http.get("/readyz").json() == {"status": "ready", "note": "the database is away"}
    service.ready = (False, "the model is loading")
    answer = http.get("/readyz")
    service.ready = (True, "")
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "not ready: the model is loading"
    assert http.get("/healthz").status_code == 200


def test_metrics_count_by_template_and_code(http: httpx.Client) -> None:
    http.delete("/v1/adapters/nobody")
    text = http.get("/metrics").text
    assert 'townsfolk_http_requests_total{code="404",route="/v1/adapters/{name}"}' in text
    assert 'townsfolk_http_request_seconds_bucket{le="0.5",route="/v1/adapters/{name}"}' in text
    assert "nobody" not in text


def test_the_docs_need_nothing_from_outside(http: httpx.Client) -> None:
    page = http.get("/docs").text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) >= 3
    assert "//" not in page.replace("</", "").replace("window.location.protocol + '//'", "")
    assert '"validatorUrl": null' in page
    assert all(link.startswith("/") and http.get(link).status_code == 200 for link in links)


def test_openapi_documents_each_error_in_the_one_shape(http: httpx.Client) -> None:
    schema: dict[str, Any] = http.get("/openapi.json").json()
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    for path, methods in schema["paths"].items():
        if path.startswith("/v1"):
            for operation in methods.values():
                errors = {code: told for code, told in operation["responses"].items() if code >= "400"}
                assert {"401", "413", "503"} <= errors.keys(), path
                shapes = {told["content"]["application/json"]["schema"]["$ref"] for told in errors.values()}
                assert shapes == {"#/components/schemas/ErrorReply"}
