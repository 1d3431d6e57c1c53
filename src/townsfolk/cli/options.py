"""Options that several commands take."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from townsfolk.config import shipped
from townsfolk.errors import ConfigError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A YAML file of settings.")]
ADAPTERS = typer.Option(help="PERSONA=FOLDER, or a folder with one for each persona. May be repeated.")
"""What `adapter_folders` reads."""
DATA = shipped("data")
"""What villagers learn from, unless an option names another folder."""


def show(as_json: bool, text: str, value: dict[str, Any]) -> None:
    """Print `text` for people, or `value` for programs."""
    print(json.dumps(value) if as_json else text, flush=True)


def adapter_folders(given: list[str]) -> dict[str, Path]:
    """Persona -> the folder that holds its adapter's files."""
    found: dict[str, Path] = {}
    for each in given:
        persona, equals, folder = each.rpartition("=")
        if equals:
            found[persona] = _adapter_in(Path(folder))
        else:
            found |= {home.name: _adapter_in(home) for home in _homes(Path(folder))}
    return found


def _homes(folder: Path) -> list[Path]:
    homes = sorted(home for home in folder.glob("*") if _holds_adapter(_adapter_in(home)))
    if not homes:
        raise ConfigError(f"{folder}: holds no PERSONA/adapter/: give such a folder, or PERSONA=FOLDER")
    return homes


def _adapter_in(folder: Path) -> Path:
    """Of a run's or a persona's folder its `adapter`; else the folder itself."""
    return folder / "adapter" if (folder / "adapter").is_dir() else folder


def _holds_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file()


def progress_bars() -> Progress:
    """A bar for each who has work to do, on standard error."""
    columns = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))
