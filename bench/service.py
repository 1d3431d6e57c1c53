"""`townsfolk serve` in a process and a home of its own, and games that play with it over real HTTP.

Knows the process and the wire; refuses to know what is measured, and why.
"""

import http.client
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from townsfolk.demo.children import free_port
from townsfolk.types import Game, LoadAdapter, Observation, StepReply, StepRequest
from world import ACTIONS

HOST = "127.0.0.1"
READY_S, ANSWER_S, STOP_S = 600, 60, 20
WAIT_MS = 1_000


class CallFailed(RuntimeError):
    """The service answered with an error, or not at all."""


class Wire:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection(HOST, port, timeout=ANSWER_S)

    def call(self, method: str, path: str, body: str = "") -> bytes:
        """The answer's body. Raises CallFailed."""
        try:
            self._http.request(method, path, body.encode(), {"Content-Type": "application/json"})
            answer = self._http.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            raise CallFailed(f"{method} {path}: {error!r}") from error
        if answer.status >= 300:
            raise CallFailed(f"{method} {path}: status {answer.status}, {content[:300]!r}")
        return content

    def close(self) -> None:
        self._http.close()


@dataclass
class Answers:
    """To the observations of one step, by villager, in seconds from when it was sent.

    Attributes:
        first: until the first action or sentence.
        done: until the turn was over.
        refused: why villagers were not answered.
    """

    first: dict[str, float] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, reply: StepReply, seconds: float) -> None:
        """Note what came `seconds` after the question."""
        for decision in reply.decisions:
            if decision.actions or decision.speech:
                self.first.setdefault(decision.villager_id, seconds)
            if decision.done:
                self.done[decision.villager_id] = seconds
        self.refused |= {refusal.villager_id: refusal.reason for refusal in reply.refused}


class GameClient:
    """A connected game: asks for its villagers, and waits for their answers as a game does, step by step."""

    _numbers = itertools.count()

    def __init__(self, port: int) -> None:
        self._wire = Wire(port)
        self._game = Game(game_id=f"bench{next(self._numbers)}", actions=ACTIONS)
        self._wire.call("POST", "/v1/games", self._game.model_dump_json())

    def ask(self, observations: Sequence[Observation]) -> Answers:
        """Send `observations` in one step, then go on until each turn is over. Raises CallFailed."""
        answers, asked = Answers(), {observation.villager_id for observation in observations}
        body = self._step(observations)
        started = time.perf_counter()
        while asked - answers.done.keys() - answers.refused.keys():
            content = self._wire.call("POST", "/v1/step", body)
            seconds = time.perf_counter() - started
            answers.add(StepReply.model_validate_json(content), seconds)
            if seconds > ANSWER_S:
                raise CallFailed(f"{len(asked)} villagers were not all answered within {ANSWER_S} s")
            body = self._step(())
        return answers

    def close(self) -> None:
        self._wire.close()

    def _step(self, observations: Sequence[Observation]) -> str:
        request = StepRequest(
            game_id=self._game.game_id, observations=tuple(observations), max_wait_ms=WAIT_MS
        )
        return request.model_dump_json(exclude_defaults=True)


@dataclass(frozen=True)
class Service:
    """A service that answers on `port`."""

    port: int
    process: psutil.Process

    def connect(self) -> "closing[GameClient]":
        """A new game; it hangs up at the end of the block."""
        return closing(GameClient(self.port))

    def metric(self, name: str) -> float:
        """What /metrics says of `name`, its labels summed up. Raises KeyError where it says nothing."""
        lines = [line.split() for line in self._get("/metrics").splitlines()]
        values = [line[1] for line in lines if line[0].partition("{")[0] == name]
        if not values:
            raise KeyError(name)
        return sum(map(float, values))

    def rss_mb(self) -> float:
        """Memory that the process and those it started hold now."""
        tree = [self.process, *self.process.children(recursive=True)]
        return sum(process.memory_info().rss for process in tree) / 1e6

    def load_adapter(self, persona: str, folder: Path) -> None:
        """Put an adapter live. Raises CallFailed."""
        request = LoadAdapter(name=persona, path=str(folder))
        with closing(Wire(self.port)) as wire:
            wire.call("POST", "/v1/adapters", request.model_dump_json())

    def _get(self, path: str) -> str:
        with closing(Wire(self.port)) as wire:
            return wire.call("GET", path).decode()


@contextmanager
def serving(home: Path, settings: Mapping[str, str]) -> Iterator[Service]:
    """A service whose home folder is `home`, ready to answer, until the block ends.

    Args:
        settings: variables without their `TOWNSFOLK_`; those of this process hold too.

    Raises:
        CallFailed: it ended, or was not ready in time; says where its log is.
    """
    home.mkdir(parents=True, exist_ok=True)
    ports = {name: free_port(socket.SOCK_STREAM) for name in ("HTTP__PORT", "GRPC__PORT")}
    named = {f"TOWNSFOLK_{name}": str(value) for name, value in {**ports, **settings}.items()}
    command = [sys.executable, "-m", "townsfolk.cli", "serve"]
    with (home / "service.log").open("wb") as log:
        child = subprocess.Popen(
            command, env={**os.environ, "HOME": str(home), **named}, stdout=log, stderr=log
        )
    try:
        _await_ready(child, ports["HTTP__PORT"], home / "service.log")
        yield Service(ports["HTTP__PORT"], psutil.Process(child.pid))
    finally:
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _await_ready(child: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and child.poll() is None:
        try:
            with closing(Wire(port)) as wire:
                wire.call("GET", "/readyz")
            return
        except CallFailed:
            time.sleep(0.1)
    raise CallFailed(f"the service did not become ready; its log ends:\n{log.read_text()[-2_000:]}")
