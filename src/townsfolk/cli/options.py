"""Options that several commands take."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from townsfolk.config import shipped

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A YAML file of settings.")]
DATA = shipped("data")
"""What villagers learn from, unless an option names another folder."""


def show(as_json: bool, text: str, value: dict[str, Any]) -> None:
    """Print `text` for people, or `value` for programs."""
    print(json.dumps(value) if as_json else text, flush=True)
