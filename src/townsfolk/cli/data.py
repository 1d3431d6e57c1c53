"""`townsfolk data`: what villagers learn from."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from townsfolk.cli.options import AsJson, ConfigFile, show
from townsfolk.config import load_settings

if TYPE_CHECKING:
    from townsfolk.training.data import Exchange

app = typer.Typer(help="What villagers learn from.", no_args_is_help=True)
Folder = Annotated[Path, typer.Option("--data", help="The folder that holds dialogue/ and names/.")]


@app.callback()
def data() -> None:
    """What villagers learn from."""


@app.command()
def check(folder: Folder = Path("data"), config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Check the authored exchanges, one file a persona, and count them; status 1 if one has a fault."""
    from townsfolk.personas import PersonaLibrary
    from townsfolk.training.data import faults, read_actions, read_exchanges, read_names

    names, actions = read_names(folder / "names"), read_actions(folder / "names")
    library = PersonaLibrary.read(load_settings(config).personas_dirs)
    found, rows = [], []
    for file in sorted((folder / "dialogue").glob("*.yaml")):
        exchanges = read_exchanges(file)
        persona = library.get(file.stem)
        rows.append(_counts(file.stem, exchanges))
        found += [
            f"{file}: exchange {number}: {fault}"
            for number, exchange in enumerate(exchanges, start=1)
            for fault in faults(exchange, persona, names, actions)
        ]
    _print(rows, found, as_json)
    raise typer.Exit(bool(found))


@app.command()
def build(
    out: Annotated[Path, typer.Argument(help="A new folder for the dataset.")],
    folder: Folder = Path("data"),
    variants: Annotated[int, typer.Option(min=1, max=64, help="Of each exchange, with itself.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed gives the same dataset.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Make a dataset of the authored exchanges: variants of each, a tenth of them held out."""
    from townsfolk.training.data import read_exchanges, read_names
    from townsfolk.training.data.dataset import Recipe, build_dataset

    files = sorted((folder / "dialogue").glob("*.yaml"))
    exchanges = {file.stem: read_exchanges(file) for file in files}
    manifest = build_dataset(exchanges, read_names(folder / "names"), Recipe(seed, variants), out)
    show(as_json, f"dataset {str(manifest['hash'])[:12]} in {out}: {json.dumps(manifest['files'])}", manifest)


def _counts(persona: str, exchanges: "list[Exchange]") -> dict[str, Any]:
    return {
        "persona": persona,
        "exchanges": len(exchanges),
        "with_action": sum(bool(exchange.act) for exchange in exchanges),
        "topics": dict(Counter(exchange.topic for exchange in exchanges).most_common()),
    }


def _print(rows: list[dict[str, Any]], found: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"personas": rows, "faults": found}))
        return
    table = Table("persona", "exchanges", "with an action", "topics")
    for row in rows:
        topics = ", ".join(f"{topic} {count}" for topic, count in row["topics"].items())
        table.add_row(row["persona"], str(row["exchanges"]), str(row["with_action"]), topics)
    Console().print(table)
    for fault in found:
        Console(stderr=True).print(fault, style="red", markup=False)
