"""What is in deploy/ keeps to the schemas of those who read it, and to the promises made of it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from townsfolk.config import load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
KUBERNETES = "1.31"
UNITS = sorted((DEPLOY / "systemd").glob("townsfolk*"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
PROGRAM = "/opt/townsfolk/.venv/bin/townsfolk"
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")


def documents() -> list[dict[str, Any]]:
    texts = [file.read_text() for file in MANIFESTS if file.stem != "kustomization"]
    return [document for text in texts for document in yaml.safe_load_all(text)]


def pods() -> dict[str, dict[str, Any]]:
    """Of each manifest that starts pods, their specification."""
    specs = [(document["metadata"]["name"], document.get("spec", {})) for document in documents()]
    started = [(name, spec.get("jobTemplate", {}).get("spec", spec)) for name, spec in specs]
    return {name: spec["template"]["spec"] for name, spec in started if "template" in spec}


def test_compose_keeps_to_its_schema() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(COMPOSE),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "document", documents(), ids=lambda document: f"{document['kind']}-{document['metadata']['name']}"
)
def test_manifests_keep_to_kubernetes_schemas(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_all_manifests_are_in_the_kustomization() -> None:
    listed = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    assert {*listed, "kustomization.yaml"} == {file.name for file in MANIFESTS}


@pytest.mark.parametrize("pod", pods().values(), ids=pods())
def test_no_pod_is_root(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"]
    for container in pod["containers"]:
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_service_has_a_root_that_is_read_only_everywhere() -> None:
    (container,) = pods()["townsfolk"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    assert all(services[name]["read_only"] for name in ("townsfolk-1", "townsfolk-2"))


def test_the_service_sheds_memory_before_it_is_killed() -> None:
    (container,) = pods()["townsfolk"]["containers"]
    told = {entry["name"]: entry.get("value") for entry in container["env"]}
    composed = yaml.safe_load(COMPOSE.read_text())["services"]["townsfolk-1"]
    unit = (DEPLOY / "systemd" / "townsfolk.service").read_text()
    name = "TOWNSFOLK_MEMORY_LIMIT_MB"
    assert int(told[name]) * 1e6 < int(container["resources"]["limits"]["memory"].removesuffix("Mi")) * 2**20
    assert composed["environment"][name] * 1e6 < int(composed["mem_limit"].removesuffix("m")) * 2**20
    own, high = re.search(rf"{name}=(\d+)", unit), re.search(r"MemoryHigh=(\d+)M", unit)
    assert own
    assert high
    assert int(own[1]) * 1e6 < int(high[1]) * 2**20


def test_every_image_has_a_version() -> None:
    composed = [service["image"] for service in yaml.safe_load(COMPOSE.read_text())["services"].values()]
    run = [container["image"] for pod in pods().values() for container in pod["containers"]]
    kustomized = "ghcr.io/townsfolk/townsfolk"  # newTag is in the kustomization
    for image in {*composed, *run} - {kustomized}:
        assert ":" in image.rpartition("/")[2], image
        assert not image.endswith(":latest"), image


def test_settings_that_are_named_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A typo in a variable would be told by the service only when it starts."""
    (container,) = pods()["townsfolk"]["containers"]
    composed = yaml.safe_load(COMPOSE.read_text())["services"]["townsfolk-1"]["environment"]
    named = {entry["name"] for entry in container["env"]} | set(composed)
    values = {
        "TOWNSFOLK_LOG_FORMAT": "json",
        "TOWNSFOLK_STORE__URL": f"sqlite:///{tmp_path}/a.db",
        "TOWNSFOLK_MEMORY_LIMIT_MB": "1300",
    }
    for name in named:
        monkeypatch.setenv(name, values.get(name, "x" * 24))
    load_settings()


def test_nobody_but_the_services_has_the_operators_token() -> None:
    composed = yaml.safe_load(COMPOSE.read_text())
    told = [*composed["configs"].values(), *composed["secrets"].values()]
    assert not any("TOWNSFOLK_API_TOKEN" in value for it in told for value in it.values())


def test_prometheus_asks_the_services_that_compose_starts() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    targets = {target.partition(":")[0] for target in scraped["static_configs"][0]["targets"]}
    assert targets <= set(yaml.safe_load(COMPOSE.read_text())["services"])


def test_the_dashboard_names_each_panel_once() -> None:
    panels = json.loads((DEPLOY / "grafana" / "dashboards" / "townsfolk.json").read_text())["panels"]
    ids, titles = [panel["id"] for panel in panels], [panel["title"] for panel in panels]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)


@needs_systemd
def test_units_are_understood(tmp_path: Path) -> None:
    """With a program in the service's place that is there."""
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.stem
)
def test_every_unit_reads_the_same_settings(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    assert PROGRAM in start
    assert "--config /etc/townsfolk/settings.yaml" in start
    assert {"EnvironmentFile=-/etc/townsfolk/environment", "StateDirectoryMode=0700", "UMask=0077"} <= {
        *lines
    }


@needs_systemd
@pytest.mark.parametrize("name", ["townsfolk", "townsfolk-audit"])
def test_what_always_runs_is_hardened(name: str) -> None:
    """20 is 2.0 of 10 on systemd's scale of exposure."""
    unit = DEPLOY / "systemd" / f"{name}.service"
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
