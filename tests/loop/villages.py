"""Services that proofs are made in: started on settings, waited for, stopped; and stages that are done once.

It refuses to know what is proven.
"""

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from townsfolk.config import Settings, load_settings
from townsfolk.demo.children import Child, free_port, stopped_at_end
from townsfolk.types import Observation, StepRequest

START_S = 120
WAIT_MS = 5_000


def once(file: Path, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `act` gave the first time: a proof that was cut off goes on after it."""
    if not file.exists():
        print(f"{time.strftime('%H:%M:%S')} {file.with_suffix('')}", flush=True)
        text = json.dumps(act())
        fresh = file.with_suffix(".tmp")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(file)
    told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return told


def settings_in(home: Path, model: Path, **sections: Any) -> Settings:
    """Of a service on a free port that keeps all it has in `home`; `sections` are whatever else is set."""
    return load_settings(
        engine={"model": model},
        http={"port": free_port(socket.SOCK_STREAM)},
        grpc={"enabled": False},
        store={
            "url": f"sqlite:///{home / 'village.db'}",
            "spool_dir": home / "spool",
            "behaviour_log": home / "behaviour.jsonl",
        },
        **sections,
    )


def write_settings(settings: Settings, file: Path) -> Path:
    """`settings` as a file for `--config`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(settings.model_dump_json(indent=1), encoding="utf-8")  # JSON is YAML
    return file


@contextmanager
def served(config: Path, port: int) -> Iterator[httpx.Client]:
    """The service with the settings in `config`, ready, until the block ends. It logs beside them."""
    command = [sys.executable, "-m", "townsfolk.cli", "serve", "--config", str(config)]
    service = Child("the service", command, config.with_name("serve.log"))
    with stopped_at_end([service]), httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as http:
        service.start()
        _wait_until_ready(service, http)
        yield http


def decided(http: httpx.Client, game_id: str, scenes: Sequence[Observation]) -> dict[str, list[Any]]:
    """Villager id -> the decisions on what it saw; returns when all turns are over."""
    reply = _step(http, game_id, scenes)
    decisions = list(reply["decisions"])
    while reply["pending"]:
        reply = _step(http, game_id, ())
        decisions += reply["decisions"]
    found: dict[str, list[Any]] = {}
    for decision in decisions:
        found.setdefault(decision["villager_id"], []).append(decision)
    return found


def post(http: httpx.Client, path: str, body: Any) -> httpx.Response:
    """The service's answer, which is a good one."""
    answer = http.post(path, json=body)
    answer.raise_for_status()
    return answer


def _step(http: httpx.Client, game_id: str, scenes: Sequence[Observation]) -> dict[str, Any]:
    request = StepRequest(game_id=game_id, observations=tuple(scenes), max_wait_ms=WAIT_MS)
    told: dict[str, Any] = post(http, "/v1/step", request.model_dump(mode="json")).json()
    return told


def _wait_until_ready(service: Child, http: httpx.Client) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        service.require_alive()
        try:
            if http.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(0.5)
    raise TimeoutError(f"the service was not ready within {START_S} s:\n{service.tail()}")
