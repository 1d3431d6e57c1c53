"""Installed where there is no compiler and no checkout: the service comes up all the same, and tells its
runner and why; a night has what it reads."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tiny_model import write_tiny_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def bare(home: Path) -> dict[str, str]:
    """An environment in which no program is found but by its path."""
    (home / "nothing").mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("CC", "CXX", "PYTHONPATH")}
    return {**kept, "PATH": str(home / "nothing"), "HOME": str(home), "CMAKE_ARGS": ""}


@pytest.fixture(scope="module")
def python(home: Path, bare: dict[str, str]) -> Path:
    """A Python of its own with the package, from this checkout; the rest is borrowed from this Python."""
    venv.create(home / "venv", with_pip=True, symlinks=True)
    python = home / "venv" / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(ROOT)]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    (site,) = (home / "venv" / "lib").glob("python*/site-packages")
    (site / "borrowed.pth").write_text(_site_packages())
    return python


def _site_packages() -> str:
    """Where this Python has its packages, those it borrowed itself too."""
    return "\n".join(
        dict.fromkeys([sysconfig.get_path("purelib"), *(it for it in sys.path if "site-packages" in it)])
    )


def test_the_package_is_installed_and_served_without_a_compiler(
    python: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    settings = {
        "TOWNSFOLK_ENGINE__MODEL": str(write_tiny_model(tmp_path / "tiny.gguf", context=8192)),
        "TOWNSFOLK_HTTP__PORT": "0",
        "TOWNSFOLK_GRPC__PORT": "0",
    }
    command = [str(python), "-m", "townsfolk.cli", "serve"]
    with subprocess.Popen(
        command,
        env=bare | settings,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as service:
        assert service.stderr is not None
        told = next((line for line in service.stderr if "runner:" in line), "nothing")
        service.terminate()
    assert "runner: onnx (the native one is missing: " in told
    assert "install again" in told


def test_what_a_night_reads_is_installed_too(python: Path, bare: dict[str, str], tmp_path: Path) -> None:
    def told(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(python), "-m", "townsfolk.cli", *words]
        return subprocess.run(command, env=bare, cwd=tmp_path, capture_output=True, text=True, check=False)

    built = told("data", "build", "dataset", "--variants", "1", "--json")
    assert built.returncode == 0, built.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"dataset"}
    missing = told("train", "kto", "configs/kto.yaml").stderr
    (recipes,) = re.findall(r"; (\S+) has some", missing)
    assert Path(recipes).is_relative_to(python.parents[1])
    assert {"reward.yaml", "kto.yaml", "ppo.yaml"} <= {file.name for file in Path(recipes).iterdir()}
