"""Disk and database are taken away while a game plays: turns go on, and nothing acknowledged is lost."""

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from postgres_server import running_postgres

from bench.chaos.service import Place, running
from bench.chaos.traffic import Traffic
from bench.promises import Row

SETTLE_S = 1.0
"""So long the game plays before a fault, and after it."""
DISK = "8m"
Fault = Callable[[Place, float], None]


def sqlite_locked(folder: Path, seconds: float) -> Row:
    """Another program holds the database's write lock."""

    def lock(place: Place, seconds: float) -> None:
        other = sqlite3.connect(place.store / "village.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("COMMIT")
        other.close()

    return _broken("sqlite_locked", Place.make(folder), lock, seconds)


def sqlite_read_only(folder: Path, seconds: float) -> Row:
    """The database lies on a disk that is mounted read-only when the service starts."""
    with _mounted(folder / "disk") as disk:
        place = Place.make(folder, folder / "store", f"sqlite:///{disk / 'village.db'}")
        with running(place):
            pass  # the schema is there: what follows finds a database that it may read

        def mount_read_only() -> None:
            _run("mount", "-o", "remount,ro", str(disk))

        def mount_writable(_place: Place, seconds: float) -> None:
            time.sleep(seconds)
            _run("mount", "-o", "remount,rw", str(disk))

        mount_read_only()
        return _broken("sqlite_read_only", place, mount_writable, seconds)


def disk_full(folder: Path, seconds: float) -> Row:
    """Spool, database and behaviour log lie on one disk, and somebody fills it to the last byte."""

    def fill(place: Place, seconds: float) -> None:
        filler = place.store / "filler"
        end = time.monotonic() + seconds
        with filler.open("wb", buffering=0) as file:
            while time.monotonic() < end:  # again and again: what the service gives back is taken, too
                with suppress(OSError):
                    while file.write(b"\0" * 4_096):
                        pass
                time.sleep(0.05)
        filler.unlink()

    with _mounted(folder / "disk") as disk:
        return _broken("disk_full", Place.make(folder, disk), fill, seconds)


def postgres_stopped(folder: Path, seconds: float) -> Row:
    """The database's server is stopped as by a crash, and started again."""
    with running_postgres() as server:

        def stop(_place: Place, seconds: float) -> None:
            server.stop()
            time.sleep(seconds)
            server.start()

        return _broken("postgres_stopped", Place.make(folder, url=server.url), stop, seconds)


def postgres_frozen(folder: Path, seconds: float) -> Row:
    """The database's server keeps its connections, takes what it is sent, and answers nothing."""
    with running_postgres() as server:

        def freeze(_place: Place, seconds: float) -> None:
            with server.frozen():
                time.sleep(seconds)

        return _broken("postgres_frozen", Place.make(folder, url=server.url), freeze, seconds)


def _broken(name: str, place: Place, fault: Fault, seconds: float) -> Row:
    """A game plays before, during and after `fault`; then the service is killed, and the books compared."""
    with running(place) as service:
        with Traffic(place.http).playing() as books:
            time.sleep(SETTLE_S)
            before = books.turns
            fault(place, seconds)
            during = books.turns - before
            time.sleep(SETTLE_S)
        alive = service.alive
    lost = books.lost(place.store_settings)
    note = f"{during} turns meanwhile, {len(books.rated) + len(books.logged)} rows acknowledged"
    return Row(name, 1, int(alive and during > 0), lost, books.late, note=note)


@contextmanager
def _mounted(folder: Path) -> Iterator[Path]:
    """A small disk of its own; needs the right to mount, which `unshare` gives."""
    folder.mkdir(parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
