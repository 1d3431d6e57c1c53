"""`townsfolk promote`: a trained version into the registry, and live."""

from pathlib import Path
from typing import Annotated

import typer

from townsfolk.cli.options import AsJson, ConfigFile, show
from townsfolk.cli.running import Url, ask
from townsfolk.config import Settings, load_settings

AT_START = "no service runs: it serves from the next start on"


def promote(
    persona: Annotated[str, typer.Argument(help="Whose adapter it is.")],
    folder: Annotated[Path, typer.Argument(help="A run's folder: adapter/, manifest.json.")],
    url: Url = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Serve a persona with the adapter in FOLDER: at once if a service is running, else from its start."""
    settings = load_settings(config)
    version = add_version(settings, persona, folder)
    live, standing = put_live(settings, persona, version, url)
    told = f"{persona}: version {version[:16]} {'is served' if live else f'is in the registry; {AT_START}'}"
    show(as_json, told, standing)


def add_version(settings: Settings, persona: str, folder: Path) -> str:
    """Check the adapter against the base model and copy it into the registry; gives its content hash.

    Raises:
        UnknownName: there is no such persona.
        AdapterError, ModelError: it can't be served.
    """
    from townsfolk.engine import open_model
    from townsfolk.engine.adapters import read_adapter
    from townsfolk.personas import PersonaLibrary
    from townsfolk.promotion.registry import ADAPTER, Registry

    PersonaLibrary.read(settings.personas_dirs).get(persona)
    model = open_model(settings.engine.model)
    adapter = read_adapter(folder / ADAPTER, [folder], model.params, model.base_hash)
    Registry.of(settings.promotion).add(persona, folder, adapter.content_hash)
    return adapter.content_hash


def put_live(settings: Settings, persona: str, version: str, url: str = "") -> tuple[bool, dict[str, object]]:
    """Whether a running service serves the version now, and what the persona is served with.

    Raises InvalidRequest: the service refuses.
    """
    from townsfolk.promotion.registry import Registry

    told = ask(url, settings, "/v1/adapters/promote", {"name": persona, "version": version})
    if told is not None:
        return True, told
    registry = Registry.of(settings.promotion)
    standing = registry.promote(persona, version, settings.promotion.canary_share)
    if standing.trial and not settings.promotion.trial_turns:
        standing = registry.confirm(persona, version)
    return False, standing.model_dump()
