"""`townsfolk personas`: who villagers can be."""

from rich.console import Console
from rich.table import Table

from townsfolk.cli.options import AsJson, ConfigFile, show
from townsfolk.config import load_settings


def personas(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the personas that the service offers, and those it can't read with the reason."""
    from townsfolk.personas import PersonaLibrary

    library = PersonaLibrary.read(load_settings(config).personas_dirs)
    rows = [
        {
            "name": name,
            "title": persona.title,
            "adapter": library.adapter_folder(name) is not None,
            "folder": str(library.folders[name]),
        }
        for name, persona in sorted(library.personas.items())
    ]
    if as_json:
        show(True, "", {"personas": rows, "faults": dict(library.faults)})
        return
    table = Table("persona", "who", "adapter", "folder")
    for row in rows:
        table.add_row(row["name"], row["title"], "yes" if row["adapter"] else "-", row["folder"])
    Console().print(table)
    for name, reason in library.faults.items():
        Console(stderr=True).print(f"left out {name}: {reason}", style="yellow")
