"""A small real HTTP server that speaks the contract, so that the mod is tested without a model.

Every request is validated with the types of `townsfolk.types`; what breaks the contract is kept in
`faults`. It can fail in the ways that services fail: stopped, 500, 503, garbage, half a body, slow.
"""

import json
import threading
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Literal

from pydantic import BaseModel, ValidationError

from faulty_http import ERROR, GARBAGE, FaultyHandler
from townsfolk.types import (
    Action,
    Connected,
    Decision,
    DemoBatch,
    DemoStep,
    Event,
    Game,
    LogBatch,
    LogEntry,
    Observation,
    Outcome,
    Rating,
    Refused,
    StepReply,
    StepRequest,
)

Mode = Literal["well", "error", "busy", "garbage", "half", "slow"]
SLOW_SECONDS = 5


class ContractService:
    """Answers who is spoken to with `speech`, one step later; keeps all it was told."""

    def __init__(self) -> None:
        self.mode: Mode = "well"
        self.answers: dict[str, tuple[Action, ...]] = {}
        """A word of what a player says -> the actions of the answer."""
        self.speech = "You said: {}"
        self.faults: list[str] = []
        self.games: list[Game] = []
        self.observations: list[Observation] = []
        self.outcomes: list[Outcome] = []
        self.ratings: list[Rating] = []
        self.engagement: list[LogEntry] = []
        self.demo_steps: list[DemoStep] = []
        self.forgotten: list[object] = []
        self.age = 0.0
        """Seconds by which decisions pretend to be made from older observations."""
        self.late = False
        """Whether observations are refused, as if their turns had timed out."""
        self.connected = False
        self.port = 0
        self.turns = 0
        self._waiting: list[Decision] = []
        self._server: ThreadingHTTPServer | None = None
        self._taken: dict[str, Callable[[bytes], None]] = {
            "/v1/ratings": lambda body: self.ratings.append(Rating.model_validate_json(body)),
            "/v1/log": lambda body: self.engagement.extend(LogBatch.model_validate_json(body).entries),
            "/v1/feedback/forget": lambda body: self.forgotten.append(json.loads(body)),
            "/v1/demos": lambda body: self.demo_steps.extend(DemoBatch.model_validate_json(body).steps),
        }

    def start(self) -> None:
        """Listen, on the port of the last time if there was one; a new start knows no game."""
        self.connected = False
        self._waiting = []
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def events(self, kind: str) -> list[Event]:
        """All events of this kind that were told."""
        return [event for seen in self.observations for event in seen.events if event.kind == kind]

    def answer(self, path: str, body: bytes) -> tuple[int, BaseModel | None]:
        """The status and the reply to a message that came to `path`."""
        try:
            return self._route(path, body)
        except ValidationError as error:
            self.faults.append(f"{path}: {error}: {body[:2000]!r}")
            return 422, None

    def _route(self, path: str, body: bytes) -> tuple[int, BaseModel | None]:
        if path == "/v1/games":
            return 200, self._greet(Game.model_validate_json(body))
        if path in self._taken:
            self._taken[path](body)
            return 204, None
        request = StepRequest.model_validate_json(body)
        return (200, self._step(request)) if self.connected else (409, None)

    def _greet(self, game: Game) -> Connected:
        self.connected = True
        self.games.append(game)
        return Connected(service_version="test", personas=("explorer",), default_persona="explorer")

    def _step(self, request: StepRequest) -> StepReply:
        ready, self._waiting = self._waiting, []
        self.observations += request.observations
        self.outcomes += request.outcomes
        if self.late:
            return StepReply(refused=tuple(map(_too_late, request.observations)))
        for observation in request.observations:
            self._waiting += [
                self._decide(observation, event) for event in observation.events if event.kind == "spoken_to"
            ]
        return StepReply(decisions=tuple(ready), pending=len(self._waiting))

    def _decide(self, observation: Observation, event: Event) -> Decision:
        self.turns += 1
        actions = (actions for word, actions in self.answers.items() if word in event.text)
        return Decision(
            villager_id=observation.villager_id,
            turn_id=f"turn-{self.turns}",
            part=0,
            done=True,
            snapshot_time=observation.snapshot_time - self.age,
            reply_to=event.who,
            private=event.private,
            speech=self.speech.format(event.text),
            actions=next(actions, ()),
        )


def _too_late(observation: Observation) -> Refused:
    return Refused(villager_id=observation.villager_id, code="late", reason="the turn took over 8 s")


class _Handler(FaultyHandler):
    service: ContractService

    def respond(self, body: bytes) -> None:
        mode = self.service.mode
        if mode == "slow":
            time.sleep(SLOW_SECONDS)
        if mode == "error":
            self.answer(*ERROR)
        elif mode == "busy":
            self.answer(503, b'{"error": {"code": "busy", "message": "queue full", "retry_after_ms": 300}}')
        elif mode == "garbage":
            self.answer(*GARBAGE)
        else:
            status, reply = self.service.answer(self.path, body)
            self.answer(status, reply.model_dump_json().encode() if reply else b"", half=mode == "half")
