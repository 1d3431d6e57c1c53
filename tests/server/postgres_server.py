"""A throw-away PostgreSQL server, where one is installed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PG_CTL = shutil.which("pg_ctl") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), None)


class Postgres:
    """A throw-away server that listens on a socket in its own folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"postgresql://postgres@/postgres?host={folder}"
        self._run("initdb", "-o", "--auth=trust --username=postgres --no-sync")

    def start(self) -> None:
        self._run(
            "start", "-w", "-o", f"-c listen_addresses= -k {self.folder}", "-l", str(self.folder / "log")
        )

    def stop(self) -> None:
        self._run("stop", "-m", "immediate")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """None of its processes runs until the block ends; its kernel takes what it is sent all the same."""
        chief = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0]))
        chief.suspend()
        processes = [chief, *chief.children(recursive=True)]
        for process in processes[1:]:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def _run(self, *arguments: str) -> None:
        user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
        command = [str(PG_CTL), "-D", str(self.folder / "data"), *arguments]
        subprocess.run(command, check=True, user=user, stdout=subprocess.DEVNULL, cwd=self.folder)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # not tmp_path: a socket's path may not be long
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    server = Postgres(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)
