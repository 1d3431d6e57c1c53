"""Files and folders that are whole or not there, whatever is killed meanwhile."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INCOMING = ".incoming-"
"""How names of what is not whole, yet or any more, begin."""


@contextmanager
def locked(file: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock `file`; the system lets go of it when the process ends, however it does.

    Raises:
        BlockingIOError: another has it, and `wait` is false.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def write_whole(file: Path, data: bytes) -> None:
    """Replace `file` in one step; it is on the disk when this returns."""
    incoming = file.with_name(f"{INCOMING}{file.name}")
    _write(incoming, data)
    incoming.replace(file)
    sync(file.parent)


def drop_lines(file: Path, unwanted: Callable[[Any], bool]) -> None:
    """Replace a file of JSON lines by one without those that are `unwanted`, nor any that a crash tore."""

    def stays(line: str) -> bool:
        try:
            return not unwanted(json.loads(line))
        except ValueError:
            return False

    lines = file.read_text(encoding="ascii").splitlines(keepends=True)
    others = [line for line in lines if stays(line)]
    if len(others) < len(lines):
        write_whole(file, "".join(others).encode())


def copy_whole(source: Path, names: Iterable[str], target: Path) -> None:
    """Copy the files `names` of `source` to the new folder `target`, which appears with all of them.

    Call it under a lock: what earlier calls, or those of `remove_whole`, left unfinished beside `target` is
    removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{INCOMING}*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    incoming = target.with_name(f"{INCOMING}{target.name}")
    for name in names:
        (incoming / name).parent.mkdir(parents=True, exist_ok=True)
        _write(incoming / name, (source / name).read_bytes())
    for folder, _, _ in os.walk(incoming):
        sync(Path(folder))
    incoming.rename(target)
    sync(target.parent)


def remove_whole(folder: Path) -> None:
    """Remove `folder`, which is gone in one step; call it under the lock of `copy_whole`."""
    outgoing = folder.with_name(f"{INCOMING}{folder.name}")
    folder.rename(outgoing)
    shutil.rmtree(outgoing)


def sync(path: Path) -> None:
    """Make what a file holds durable, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(file: Path, data: bytes) -> None:
    with file.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
