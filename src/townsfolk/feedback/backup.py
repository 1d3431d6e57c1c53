"""The database -> one file, while the service runs, and back again, while it does not.

SQLite copies itself (its online backup); PostgreSQL is asked through its own `pg_dump`, `pg_restore` and
`psql`. A file is whole or it is not there; a restore happens whole or not at all.
"""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL

from townsfolk.disk import sync
from townsfolk.errors import StoreError
from townsfolk.feedback.models import Base

RETIRED = ("audit_flags", "alembic_version")
"""Tables that the classes don't have, but a database of ours may."""


def backup(url: URL, file: Path) -> None:
    """Copy the database to `file`, which is replaced in one step.

    Raises:
        StoreError: it can't be read, or `file` can't be written.
    """
    copy = _copy_sqlite if url.get_backend_name() == "sqlite" else _dump_postgres
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=file.parent) as folder:
            fresh = Path(folder) / file.name
            copy(url, fresh)
            sync(fresh)
            fresh.chmod(0o600)  # what players said is in it
            fresh.replace(file)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"no backup was made to {file}: {error}") from error


def require_there(url: URL) -> None:
    """Raises StoreError: there is no such file, which opening would make."""
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise StoreError(f"database {url.database} is not there: check store.url")


def restore(url: URL, file: Path) -> None:
    """Replace the database by what is in `file`. The service must not run.

    Raises:
        StoreError: `file` is no backup, or can't be put back; the database is as it was.
    """
    if not file.is_file():
        raise StoreError(f"backup {file} is not there: name a file that townsfolk db backup made")
    put_back = _restore_sqlite if url.get_backend_name() == "sqlite" else _restore_postgres
    try:
        put_back(url, file)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"backup {file} can't be restored ({error}): name another, or move a damaged database away first"
        ) from error


def _copy_sqlite(url: URL, fresh: Path) -> None:
    """In one step: a reader of a WAL database holds up no writer."""
    require_there(url)
    with closing(sqlite3.connect(str(url.database))) as live, closing(sqlite3.connect(fresh)) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it


def _restore_sqlite(url: URL, file: Path) -> None:
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as copy:
        (found,) = copy.execute("PRAGMA integrity_check").fetchone()
        if found != "ok" or not copy.execute("PRAGMA table_info(alembic_version)").fetchone():
            raise StoreError(f"backup {file} is damaged or not of a store ({found}): restore another")
        database = Path(str(url.database))
        database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database)) as live:
            copy.backup(live)  # one transaction of its own


def _dump_postgres(url: URL, fresh: Path) -> None:
    _run(url, ["pg_dump", "--format=custom", "--no-owner", f"--file={fresh}", *_tables()])


def _restore_postgres(url: URL, file: Path) -> None:
    """In one transaction: what is there makes way first, of newer schemas, too."""
    with tempfile.TemporaryDirectory(prefix="townsfolk-") as folder:
        script = Path(folder) / "restore.sql"
        _run(None, ["pg_restore", "--no-owner", f"--file={script}", str(file)])
        gone = f"DROP TABLE IF EXISTS {', '.join((*Base.metadata.tables, *RETIRED))} CASCADE"
        whole = ["--single-transaction", "--set=ON_ERROR_STOP=1", "--no-psqlrc", "--quiet"]
        _run(url, ["psql", *whole, f"--command={gone}", f"--file={script}"])


def _tables() -> list[str]:
    """A database may be shared: only our own tables."""
    return [f"--table={name}" for name in (*Base.metadata.tables, *RETIRED)]


def _run(url: URL | None, command: Sequence[str]) -> None:
    """Run a tool of PostgreSQL; the password goes by its environment, where `ps` does not show it."""
    if shutil.which(command[0]) is None:
        raise StoreError(f"{command[0]} is not installed: apt-get install postgresql-client")
    where, secret = [], {}
    if url is not None:
        user, host, port = url.username, url.host, url.port
        plain = URL.create("postgresql", user, None, host, port, url.database, url.query)
        where = [f"--dbname={plain.render_as_string()}"]
        secret = {"PGPASSWORD": str(url.password)} if url.password else {}
    done = subprocess.run(
        [*command, *where], env=os.environ | secret, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StoreError(f"{command[0]} failed: {done.stderr.strip()}")
