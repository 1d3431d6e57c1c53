"""`townsfolk data`: what villagers learn from."""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from townsfolk.cli.options import ADAPTERS, DATA, AsJson, ConfigFile, adapter_folders, progress_bars, show
from townsfolk.config import load_settings

if TYPE_CHECKING:
    from townsfolk.serving.rehearsal import Rehearsal
    from townsfolk.training.data import Exchange
    from townsfolk.training.data.rows import DataRow

app = typer.Typer(help="What villagers learn from.", no_args_is_help=True)
Folder = Annotated[Path, typer.Option("--data", help="The folder that holds dialogue/ and names/.")]
NamesFolder = Annotated[
    Path | None, typer.Option("--names", help="A game's names and actions; else those of the data.")
]
Sources = Annotated[
    str, typer.Option("--from", help="authored, turns, demos and files of rows, separated by commas.")
]
TRAINED = ("black on green", "black on cyan")
"""Styles of trained tokens, in turn, so that one sees where each ends."""


@app.callback()
def data() -> None:
    """What villagers learn from."""


@app.command()
def check(
    folder: Folder = DATA,
    names_folder: NamesFolder = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Check the authored exchanges, one file per persona, and count them; exit status 1 if any is faulty."""
    from townsfolk.personas import PersonaLibrary
    from townsfolk.training.data import faults, read_actions, read_exchanges, read_names

    named = names_folder or folder / "names"
    names, actions = read_names(named), read_actions(named)
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
    raise typer.Exit(int(bool(found)))


@app.command()
def collect(
    out: Annotated[Path, typer.Argument(help="A new file for the rows.")],
    sources: Sources = "turns,demos",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Write rows from play: the store's rated turns and demonstrations, without names."""
    from townsfolk.serving.harvest import harvest
    from townsfolk.training.data.dataset import counts
    from townsfolk.training.data.rows import as_line, write_new

    rows = harvest(sources.split(","), load_settings(config).store.url)
    write_new(out, map(as_line, rows))
    found = counts(rows)
    show(as_json, f"{len(rows)} rows in {out}: {json.dumps(found)}", {"rows": len(rows), **found})


@app.command()
def mistakes(
    dataset: Annotated[Path, typer.Argument(help="The dataset that the villagers learnt from.")],
    out: Annotated[Path, typer.Argument(help="A new file for the rows.")],
    adapters: Annotated[list[str], ADAPTERS],
    folder: Folder = DATA,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Let villagers answer what they learnt from; write what they get wrong as pairs for dpo."""
    from townsfolk.serving.mistakes import mistakes as found_by
    from townsfolk.training.data.dataset import counts
    from townsfolk.training.data.rows import as_line, write_new

    with progress_bars() as bars:
        task = bars.add_task("scenes", total=None)

        def told(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        rows = found_by(load_settings(config), dataset, adapter_folders(adapters), folder, told)
    write_new(out, map(as_line, rows))
    found = counts(rows)
    show(as_json, f"{len(rows)} pairs in {out}: {json.dumps(found)}", {"rows": len(rows), **found})


@app.command()
def build(
    out: Annotated[Path, typer.Argument(help="A new folder for the dataset.")],
    folder: Folder = DATA,
    names_folder: NamesFolder = None,
    sources: Sources = "authored",
    variants: Annotated[int, typer.Option(min=1, max=64, help="Variants of each exchange.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed gives the same dataset.")] = 0,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Build a dataset from authored exchanges with variants, play and files of rows; a tenth is held out."""
    from townsfolk.personas import PersonaLibrary
    from townsfolk.serving.harvest import AUTHORED, harvest
    from townsfolk.training.data import read_actions, read_exchanges, read_names
    from townsfolk.training.data.dataset import Orders, Recipe, build_dataset
    from townsfolk.training.data.orders import read_lists

    settings, wanted = load_settings(config), tuple(sources.split(","))
    files = sorted((folder / "dialogue").glob("*.yaml")) if AUTHORED in wanted else []
    exchanges = {file.stem: read_exchanges(file) for file in files}
    others = harvest(wanted, settings.store.url)
    personas = PersonaLibrary.read(settings.personas_dirs).personas
    phrases, deflections = (read_lists(folder / f"{name}.yaml") for name in ("orders", "deflections"))
    named = names_folder or folder / "names"
    orders = Orders(phrases, deflections, personas, read_actions(named))
    recipe = Recipe(seed, variants, wanted)
    manifest = build_dataset(exchanges, read_names(named), recipe, out, others, orders)
    show(as_json, f"dataset {str(manifest['hash'])[:12]} in {out}: {json.dumps(manifest['files'])}", manifest)


@app.command()
def inspect(
    dataset: Annotated[Path, typer.Argument(help="A dataset's folder.")],
    persona: Annotated[str, typer.Option(help="Only rows of this persona.")] = "",
    n: Annotated[int, typer.Option("--n", min=0, help="How many rows are printed.")] = 3,
    held_out: Annotated[bool, typer.Option("--held-out", help="Show held-out rows.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Print rows as the model sees them, with the trained tokens highlighted, and count them."""
    from townsfolk.serving.rehearsal import Rehearsal
    from townsfolk.training.data.dataset import counts
    from townsfolk.training.data.rows import HELD_OUT, TRAIN, read_rows

    found = read_rows(dataset / (HELD_OUT if held_out else TRAIN))
    rows = [row for row in found if persona in ("", row.persona)]
    if as_json:
        print(json.dumps({"rows": len(rows), **counts(rows)}))
        return
    _print_counts(rows)
    rehearsal = Rehearsal.open(load_settings(config))
    for row in rows[:: max(1, len(rows) // max(1, n))][:n]:
        Console().print(_marked(row, rehearsal), "")


@app.command("import")
def import_lines(
    file: Annotated[Path, typer.Argument(help="Lines of player_id, context, reply, reward.")],
    out: Annotated[Path, typer.Argument(help="A new file of rows, for build --from.")],
    persona: Annotated[str, typer.Option(help="The persona whose replies they are.")],
    game: Annotated[
        str, typer.Option(help="The id of the players' game: their `/ai forget me` there counts here.")
    ] = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Convert JSON lines of the guide's format to rows; if a line is bad, nothing is written."""
    from townsfolk.feedback.rows import player_hash
    from townsfolk.personas import PersonaLibrary
    from townsfolk.training.data.guide import plain_hash, read_guide
    from townsfolk.training.data.rows import as_line, write_new

    name = PersonaLibrary.read(load_settings(config).personas_dirs).get(persona).name
    rows = read_guide(file, name, partial(player_hash, game) if game else plain_hash)
    write_new(out, map(as_line, rows))
    show(as_json, f"{len(rows)} rows in {out}", {"rows": len(rows)})


@app.command("export")
def export_lines(
    dataset: Annotated[Path, typer.Argument(help="A dataset's folder.")],
    out: Annotated[Path, typer.Argument(help="A new file for the lines.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Write all rows of a dataset as the guide's JSON lines: player_id, context, reply, reward."""
    from townsfolk.serving.rehearsal import Rehearsal
    from townsfolk.training.data.guide import guide_lines
    from townsfolk.training.data.rows import HELD_OUT, TRAIN, read_rows, write_new

    rows = [row for side in (TRAIN, HELD_OUT) for row in read_rows(dataset / side)]
    lines = guide_lines(rows, told=Rehearsal.open(load_settings(config)).window)
    write_new(out, [lines.encode()])
    show(as_json, f"{len(rows)} lines in {out}", {"rows": len(rows)})


def _print_counts(rows: "list[DataRow]") -> None:
    from townsfolk.training.data.dataset import counts

    for what, found in counts(rows).items():
        told = ", ".join(f"{name} {count}" for name, count in found.items())
        Console().print(f"[bold]{what}[/bold] {told}", highlight=False)


def _marked(row: "DataRow", rehearsal: "Rehearsal") -> Text:
    """The row's prompt, dim, then its reply, token by token in two colours: only these have a loss."""
    tokens = rehearsal.row(row)
    judged = "" if row.reward is None else f" reward {row.reward:+.2f}"
    text = Text(f"{row.id} ({row.source}){judged} weight {row.weight:g}\n", style="bold")
    text.append(rehearsal.decode(tokens.prompt), style="dim")
    for at, token in enumerate(tokens.reply):
        text.append(rehearsal.decode((token,)), style=TRAINED[at % len(TRAINED)])
    return text


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
