"""Tokens and passwords are told nobody: a service is used rightly and wrongly, what it wrote is searched."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tiny_model import tiny_settings
from townsfolk.gateway.pb import townsfolk_pb2, townsfolk_pb2_grpc
from townsfolk.gateway.tokens import Holder, Scope, add_token

OWN, WRONG, PASSWORD = "own-s3cret-of-the-settings", "townsfolk_wr0ng-s3cret", "s3cret-of-the-database"
GAME = {"game_id": "valley", "actions": [{"name": "wave"}]}
PATIENCE_S = 400


@dataclass
class Served:
    """A `townsfolk serve` of its own, and whatever it told."""

    home: Path
    http: str
    grpc: str
    tokens: dict[str, str]
    told: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, token: str, **request: Any) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.request(method, self.http + path, headers=headers, timeout=PATIENCE_S, **request)
        self.told += [answer.text, *(f"{name}: {value}" for name, value in answer.headers.items())]
        return answer.status_code

    def written(self) -> list[str]:
        return [file.read_bytes().decode("latin-1") for file in self.home.rglob("*") if file.is_file()]


def townsfolk(home: Path, *arguments: str, log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Run a command; all that it prints goes to `log`, which nobody has to empty."""
    command = [sys.executable, "-m", "townsfolk.cli", *arguments]
    own = {**os.environ, "HOME": str(home), "TOWNSFOLK_API_TOKEN": OWN, **environment}
    with log.open("wb") as printed:
        return subprocess.Popen(command, env=own, stdout=printed, stderr=printed)


def where(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """The addresses that a service prints once it serves."""
    started = time.monotonic()
    while not (found := re.search(r"^\{.*\}$", log.read_text(), re.MULTILINE)):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() - started < PATIENCE_S, log.read_text()
        time.sleep(0.2)
    told: dict[str, str] = json.loads(found[0])
    return told


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    file, config = home / "tokens.json", home / "settings.json"
    holders = [Holder(name="valley", scopes=frozenset({Scope.PLAY}), game_id="valley")]
    tokens = {holder.name: add_token(file, holder) for holder in holders}
    ports = {"http": {"port": 0}, "grpc": {"port": 0}, "tokens_file": str(file), "log_level": "debug"}
    values = json.loads(tiny_settings(home).model_dump_json(exclude={"api_token"}))
    config.write_text(json.dumps({**values, **ports}))
    log = home / "serve.log"
    process = townsfolk(home, "serve", "--config", str(config), "--json", log=log)
    at = where(process, log)
    yield Served(home, at["http"], at["grpc"], tokens)
    process.terminate()
    process.wait(PATIENCE_S)


def test_no_secret_is_told(served: Served) -> None:
    mine = served.tokens["valley"]
    for token in (OWN, mine, WRONG):
        served.ask("GET", "/v1/models", token)
        served.ask("POST", "/v1/games", token, json=GAME)
        served.ask("POST", "/v1/games", token, json={**GAME, "game_id": "another"})
        served.ask("POST", "/v1/games", token, content=b"{")
        served.ask("POST", "/v1/games", token, json={"game_id": "?" * 99})
        served.ask("POST", "/v1/infer", token, json={"persona": "guard", "context": "hello"})
        served.ask("POST", "/v1/adapters", token, json={"name": "guard", "path": "/nowhere"})
        served.ask("GET", f"/v1/nothing?token={WRONG}", token)
        served.ask("POST", "/v1/step", token, content=b" " * 2_000_000)
        served.told.append(_by_grpc(served, token))
    for path in ("/metrics", "/openapi.json"):
        assert served.ask("GET", path, OWN) == 200
    written = served.written()
    _assert_none(served.told + written, OWN, mine, WRONG)


def _by_grpc(served: Served, token: str) -> str:
    with grpc.insecure_channel(served.grpc) as channel:
        try:
            game = townsfolk_pb2.Game(game_id="another", actions=[townsfolk_pb2.ActionSpec(name="wave")])
            metadata = (("authorization", f"Bearer {token}"),)
            return str(
                townsfolk_pb2_grpc.TownsfolkStub(channel).Connect(game, metadata=metadata, timeout=PATIENCE_S)
            )
        except grpc.RpcError as error:
            return f"{error.details()} {error.trailing_metadata()}"


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (("settings", "--json"), f"postgresql+psycopg://townsfolk:{PASSWORD}@127.0.0.1:9/townsfolk"),
        (("tokens", "list"), ""),
        (("tokens", "revoke", "nobody"), ""),
        (
            ("data", "collect", "rows.jsonl"),
            f"postgresql+psycopg://townsfolk:{PASSWORD}@127.0.0.1:9/townsfolk",
        ),
        (("data", "collect", "rows.jsonl"), f"postgres townsfolk:{PASSWORD}@127.0.0.1"),
        (("data", "collect", "rows.jsonl"), f"mysql://townsfolk:{PASSWORD}@127.0.0.1/townsfolk"),
    ],
)
def test_no_command_prints_one(tmp_path: Path, arguments: tuple[str, ...], url: str) -> None:
    own = {"TOWNSFOLK_STORE__URL": url} if url else {}
    log = tmp_path / "printed"
    townsfolk(tmp_path, *arguments, log=log, **own).wait(PATIENCE_S)
    printed = log.read_text()
    assert printed
    assert "Traceback" not in printed
    _assert_none([printed], OWN, PASSWORD)


def _assert_none(texts: list[str], *secrets: str) -> None:
    for secret in secrets:
        assert not [text[:200] for text in texts if secret in text]
