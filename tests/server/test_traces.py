"""One trace from a game's step to the reply: a whole service, a receiver of OTLP, what came over the wire."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider

from faulty_http import FaultyHandler
from running import running
from server import LuantiServer
from tiny_model import tiny_settings
from townsfolk.config import TelemetrySettings
from townsfolk.demo.player import Player
from townsfolk.errors import ConfigError
from townsfolk.serving import Rooms, Village
from townsfolk.serving.tracing import exporting
from townsfolk.types import StepRequest
from world import GAME, me, observation, said

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
WORDS = "please follow me to the river"
SOON, PATIENCE_S = 10, 60


class Receiver(HTTPServer):
    """Keeps the spans that are sent to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.spans: list[Span] = []

    def traces(self) -> dict[str, dict[bytes, Span]]:
        """All spans that have ended, by trace and id."""
        provider = trace.get_tracer_provider()
        assert isinstance(provider, TracerProvider)
        provider.force_flush()
        found: dict[str, dict[bytes, Span]] = {}
        for span in self.spans:
            found.setdefault(span.trace_id.hex(), {})[span.span_id] = span
        return found


class _Taking(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        scopes = [scope for resource in sent.resource_spans for scope in resource.scope_spans]
        self.server.spans += [span for scope in scopes for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing: a test's output is its own."""


class Relay(ThreadingHTTPServer):
    """Between a game and the service: notes the `traceparent` of each request."""

    def __init__(self, service: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.service = service
        self.sent: list[str] = []


class _Passing(FaultyHandler):
    server: Relay

    def respond(self, body: bytes) -> None:
        names = ("Content-Type", "traceparent")
        headers = {name: self.headers[name] for name in names}
        self.server.sent.append(headers["traceparent"])
        answer = httpx.post(
            self.server.service + self.path, content=body, headers=headers, timeout=PATIENCE_S
        )
        self.answer(answer.status_code, answer.content)


Serving = TypeVar("Serving", bound=HTTPServer)


@contextmanager
def in_thread(server: Serving) -> Iterator[Serving]:
    """Serve until the block ends."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with in_thread(Receiver()) as server:
        yield server


@pytest.fixture(scope="module")
def traced(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service that sends its spans to `receiver`: one, as a process has one exporter."""
    settings = tiny_settings(tmp_path_factory.mktemp("traced"))
    settings = settings.model_copy(
        update={"agents": settings.agents.model_copy(update={"turn_timeout_ms": 120_000})}
    )
    with exporting(TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{receiver.server_port}")):
        rooms = Rooms.open(settings)
        with running(Village(rooms)) as target:
            yield target.http
        rooms.close()


def wait_for(found: Callable[[], Span | None]) -> Span:
    started = time.monotonic()
    while not (span := found()):
        assert time.monotonic() - started < PATIENCE_S, "no such span"
        time.sleep(0.2)
    return span


def turn_of(spans: dict[bytes, Span]) -> Span | None:
    """The turn among the spans of a trace, once its step has ended, too."""
    turn = next((span for span in spans.values() if span.name == "turn"), None)
    return turn if turn and step_of(turn, spans).name == "POST /v1/step" else None


def step_of(span: Span, spans: dict[bytes, Span]) -> Span:
    """The topmost span above it: FastAPI has spans of its own between."""
    while span.parent_span_id in spans:
        span = spans[span.parent_span_id]
    return span


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


def test_one_trace_from_the_step_to_the_reply(traced: str, receiver: Receiver) -> None:
    play(traced)
    turn = wait_for(lambda: turn_of(receiver.traces().get(TRACE, {})))
    spans = receiver.traces()[TRACE]
    assert step_of(turn, spans).parent_span_id.hex() == PARENT
    below = [span for span in spans.values() if span.parent_span_id == turn.span_id]
    assert {span.name for span in below} == {"queue", "prefill", "decode", "delivery"}
    assert all(turn.start_time_unix_nano - 1e7 <= span.start_time_unix_nano for span in below)
    assert not [span for span in receiver.spans if "river" in str(span)]  # what is said is in no trace


@pytest.mark.game
def test_a_real_games_step_begins_the_trace_of_its_turn(
    traced: str, receiver: Receiver, tmp_path: Path
) -> None:
    with in_thread(Relay(traced)) as relay:
        settings = {
            "mg_name": "flat",
            "name": "sam",
            "townsfolk.service_url": f"http://127.0.0.1:{relay.server_port}",
            "townsfolk.request_seconds": PATIENCE_S,
        }

        def turn_in_the_game() -> Span | None:
            others = (spans for name, spans in receiver.traces().items() if name != TRACE)
            return next(filter(None, map(turn_of, others)), None)

        with (
            LuantiServer(tmp_path, settings=settings) as server,
            Player.join("127.0.0.1", server.port, "sam") as sam,
        ):
            sam.say("/ai spawn Mira explorer")
            sam.wait_for_chat("Mira the explorer is here", SOON)
            sam.say("Mira, which way is the river?")
            turn = wait_for(turn_in_the_game)
    trace_id = turn.trace_id.hex()
    parent = step_of(turn, receiver.traces()[trace_id]).parent_span_id.hex()
    assert f"00-{trace_id}-{parent}-01" in relay.sent
    assert len({*relay.sent}) == len(relay.sent)  # each request begins a trace of its own


def test_without_the_sdk_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    settings = TelemetrySettings(otlp_endpoint="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"townsfolk\[telemetry\]"), exporting(settings):
        pass
