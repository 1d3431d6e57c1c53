"""`townsfolk db`: the database brought up to date, copied, put back and swept."""

import time
from pathlib import Path
from typing import Annotated

import typer

from townsfolk.cli.options import AsJson, ConfigFile, show
from townsfolk.config import load_settings

app = typer.Typer(help="The database: migrate, backup, restore, vacuum.", no_args_is_help=True)
BackupFile = Annotated[Path, typer.Argument(help="An SQLite file, or pg_dump's for PostgreSQL.")]


@app.callback()
def db() -> None:
    """The database: migrate, backup, restore, vacuum."""


@app.command()
def migrate(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Bring the schema up to date; the service does this itself when it starts."""
    from townsfolk.feedback.database import Database

    database = Database(load_settings(config).store.url)
    before = database.version()
    database.migrate()
    told = {"database": database.name, "before": before, "now": database.version()}
    show(as_json, f"{database.name}: schema {before or 'none'} -> {told['now']}", told)


@app.command()
def backup(file: BackupFile, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Copy the database to FILE; the service may keep running."""
    from townsfolk.feedback import backup as copying
    from townsfolk.feedback.database import Database

    database = Database(load_settings(config).store.url)
    copying.require_there(database.url)
    database.require_newest()
    copying.backup(database.url, file)
    size = file.stat().st_size
    told = {"database": database.name, "file": str(file), "bytes": size}
    show(as_json, f"{database.name} is copied to {file} ({size / 1e6:.1f} MB)", told)


@app.command()
def restore(file: BackupFile, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Replace the database with FILE; the service must be stopped. Forgotten players stay forgotten."""
    from townsfolk.feedback import backup as copying
    from townsfolk.feedback import wishes
    from townsfolk.feedback.database import Database
    from townsfolk.feedback.spool import Spool

    settings = load_settings(config).store
    database = Database(settings.url)
    spool = Spool(settings.spool_dir, settings.spool_max_bytes)  # its lock says that no service runs
    try:
        wished = wishes.read(database)
        database.close()
        copying.restore(database.url, file)
        database.migrate()
        wishes.renew(database, wished)
    finally:
        spool.close()
    told = {"database": database.name, "file": str(file), "schema": database.version()}
    show(as_json, f"{database.name} is what {file} was (schema {told['schema']})", told)


@app.command()
def vacuum(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Delete rows older than store.keep_days and reclaim their space; the service may keep running."""
    from townsfolk.feedback.database import Database
    from townsfolk.feedback.retention import DAY_S, prune

    settings = load_settings(config).store
    database = Database(settings.url)
    database.migrate()
    gone = prune(database, time.time() - settings.keep_days * DAY_S) if settings.keep_days else 0
    database.vacuum()
    show(as_json, f"{database.name}: {gone} old rows deleted, swept", {"deleted": gone})
