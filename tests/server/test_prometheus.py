"""What is deployed with Prometheus and Grafana, against a real Prometheus that scrapes a real service."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from running import Target, running
from tiny_model import tiny_settings
from townsfolk.cli.metrics import render
from townsfolk.gateway.pb import townsfolk_pb2, townsfolk_pb2_grpc
from townsfolk.metrics import CATALOGUE
from townsfolk.serving import Rooms, Village
from townsfolk.types import StepRequest
from world import GAME, me, observation, said

ROOT = Path(__file__).parents[2]
DEPLOYED = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "townsfolk.json"
TOKEN = "a-token-of-more-than-16"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WAIT_S = 120

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A village on a tiny model that a game plays with."""
    rooms = Rooms.open(tiny_settings(tmp_path_factory.mktemp("village")))
    with running(Village(rooms), registry=rooms.registry, api_token=TOKEN) as target:
        yield target
    rooms.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, service: Target) -> Path:
    """deploy/prometheus, with the service that runs here as its target and scrapes in quick succession."""
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copytree(DEPLOYED, folder, dirs_exist_ok=True)
    (folder / "townsfolk.token").write_text(TOKEN)
    config = yaml.safe_load((folder / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [service.http.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def prometheus(folder: Path) -> Iterator[httpx.Client]:
    """A real one on a free port; a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        with httpx.Client(base_url=f"http://{address}", timeout=20) as client:
            _until(lambda: _ready(client), f"Prometheus does not start: see {folder}/log")
            yield client
        process.terminate()


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").is_success
    except httpx.TransportError:
        return False


def _until(holds: Any, else_say: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, else_say
        time.sleep(0.5)


def _play(service: Target) -> None:
    """A turn, a thumb, and the same over gRPC."""
    with httpx.Client(base_url=service.http, headers=BEARER, timeout=60) as http:
        http.post("/v1/games", json=GAME.model_dump(mode="json")).raise_for_status()
        turn_id = _first_decision(http)["turn_id"]
        http.post("/v1/ratings", json={"turn_id": turn_id, "player": "Alice", "value": 1}).raise_for_status()
    with grpc.insecure_channel(service.grpc) as channel:
        asked = townsfolk_pb2.InferRequest(persona="guard", context="hello", max_len=8, max_wait_ms=60_000)
        metadata = (("authorization", f"Bearer {TOKEN}"),)
        townsfolk_pb2_grpc.TownsfolkStub(channel).Infer(asked, metadata=metadata)


def _first_decision(http: httpx.Client) -> Any:
    """Says it again to a service that was too busy."""
    while True:
        seen = observation(said("follow me"), me=me())
        step = StepRequest(game_id=GAME.game_id, observations=(seen,), max_wait_ms=2000)
        reply: dict[str, Any] = {"pending": 1, "decisions": []}
        while reply["pending"] and not reply["decisions"]:
            answer = http.post("/v1/step", json=step.model_dump(mode="json")).raise_for_status()
            reply, step = answer.json(), StepRequest(game_id=GAME.game_id, max_wait_ms=2000)
        if reply["decisions"]:
            return reply["decisions"][0]


def _ask(prometheus: httpx.Client, query: str) -> list[Any]:
    answer = prometheus.get("/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", f"{query}: {answer}"
    result: list[Any] = answer["data"]["result"]
    return result


def _queries() -> list[str]:
    """What each panel asks, with Grafana's variables as Grafana would fill them in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [query.replace("$instance", ".*").replace("$__rate_interval", "30s") for query in asked]


def test_page_is_true() -> None:
    page = ROOT / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == render(), "run townsfolk metrics > docs/metrics.md"


def test_what_is_told_is_what_is_documented(service: Target) -> None:
    _play(service)
    text = httpx.get(f"{service.http}/metrics", headers=BEARER).text
    told = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(text)
        if not family.name.startswith("process_") and not family.name.endswith("_created")
    }
    assert set(told) == set(CATALOGUE)
    for name, family in told.items():
        assert family.type == CATALOGUE[name].kind
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(CATALOGUE[name].labels), name


@needs_prometheus
@pytest.mark.parametrize("check", ["check config prometheus.yml", "test rules alerts_test.yml"])
def test_promtool_agrees(folder: Path, check: str) -> None:
    done = subprocess.run(
        ["promtool", *check.split()], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_each_panel_has_data(service: Target, prometheus: httpx.Client) -> None:
    queries = _queries()
    assert len(queries) > 30

    def all_have() -> bool:
        _play(service)
        return all(_ask(prometheus, query) for query in queries)

    _until(all_have, f"no data: {[query for query in queries if not _ask(prometheus, query)]}")


@needs_prometheus
def test_each_alert_is_evaluated_and_rests(service: Target, prometheus: httpx.Client) -> None:
    _until(lambda: _ask(prometheus, "townsfolk_ready"), "nothing is scraped")

    def rules() -> list[Any]:
        groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    _until(lambda: all(rule["health"] == "ok" for rule in rules()), f"rules can't be evaluated: {rules()}")
    assert {rule["name"] for rule in rules() if rule["state"] == "firing"} == set()
