"""One trace from a game's step to the reply: a whole service, a receiver of OTLP, what came over the wire."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from running import running
from tiny_model import tiny_settings
from townsfolk.config import TelemetrySettings
from townsfolk.errors import ConfigError
from townsfolk.serving import Rooms, Village
from townsfolk.serving.tracing import exporting
from townsfolk.types import StepRequest
from world import GAME, me, observation, said

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
WORDS = "please follow me to the river"


class Receiver(HTTPServer):
    """Keeps the spans that are sent to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        scopes = [scope for resource in sent.resource_spans for scope in resource.scope_spans]
        self.server.spans += [span for scope in scopes for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing: a test's output is its own."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def play(address: str) -> None:
    """Steps until a villager has answered, each with the game's `traceparent`."""
    with httpx.Client(
        base_url=address, timeout=60, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}
    ) as http:
        http.post("/v1/games", json=GAME.model_dump(mode="json")).raise_for_status()
        step = StepRequest(
            game_id=GAME.game_id, observations=(observation(said(WORDS), me=me()),), max_wait_ms=2000
        )
        pending = 1
        while pending:
            reply = http.post("/v1/step", json=step.model_dump(mode="json")).raise_for_status().json()
            pending, step = reply["pending"], StepRequest(game_id=GAME.game_id, max_wait_ms=2000)


def test_one_trace_from_the_step_to_the_reply(receiver: Receiver, tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{receiver.server_port}"
    settings = tiny_settings(tmp_path)
    settings = settings.model_copy(
        update={"agents": settings.agents.model_copy(update={"turn_timeout_ms": 120_000})}
    )
    with exporting(TelemetrySettings(otlp_endpoint=endpoint)):
        rooms = Rooms.open(settings)
        with running(Village(rooms)) as target:
            play(target.http)
        rooms.close()
    spans = {span.span_id: span for span in receiver.spans if span.trace_id.hex() == TRACE}
    turn = next(span for span in spans.values() if span.name == "turn")
    step = spans[turn.parent_span_id]
    while step.parent_span_id in spans:  # FastAPI has spans of its own between
        step = spans[step.parent_span_id]
    assert (step.name, step.parent_span_id.hex()) == ("POST /v1/step", PARENT)
    below = [span for span in spans.values() if span.parent_span_id == turn.span_id]
    assert {span.name for span in below} == {"queue", "prefill", "decode", "delivery"}
    assert all(turn.start_time_unix_nano - 1e7 <= span.start_time_unix_nano for span in below)
    assert not [span for span in receiver.spans if "river" in str(span)]  # what is said is in no trace


def test_without_the_sdk_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    settings = TelemetrySettings(otlp_endpoint="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"townsfolk\[telemetry\]"), exporting(settings):
        pass
