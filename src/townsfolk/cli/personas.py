"""`townsfolk personas`: who villagers can be."""

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from townsfolk.cli.options import AsJson, ConfigFile
from townsfolk.config import load_settings

if TYPE_CHECKING:
    from townsfolk.personas import PersonaLibrary


def personas(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the personas that the service offers, and why others can't be read."""
    from townsfolk.personas import PersonaLibrary

    library = PersonaLibrary.read(load_settings(config).personas_dirs)
    if as_json:
        print(json.dumps({"personas": _rows(library), "faults": dict(library.faults)}))
        return
    table = Table("persona", "who", "adapter", "folder")
    for row in _rows(library):
        table.add_row(*map(Text, row.values()))
    Console().print(table)
    for name, reason in library.faults.items():
        Console(stderr=True).print(f"left out {name}: {reason}", style="yellow", markup=False)


def _rows(library: "PersonaLibrary") -> list[dict[str, str]]:
    return [
        {
            "name": name,
            "title": persona.title,
            "adapter": str(library.adapter_folder(name) or ""),
            "folder": str(library.folders[name]),
        }
        for name, persona in sorted(library.personas.items())
    ]
