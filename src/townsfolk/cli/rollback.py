"""`townsfolk rollback`: the version before serves again."""

from typing import Annotated

import typer

from townsfolk.cli.options import AsJson, ConfigFile, show
from townsfolk.cli.promote import AT_START
from townsfolk.cli.running import Url, ask
from townsfolk.config import load_settings


def rollback(
    persona: Annotated[str, typer.Argument(help="Whose adapter is taken back.")],
    reason: Annotated[str, typer.Option(help="Kept in the registry's history.")] = "asked for",
    url: Url = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """End the persona's trial; without a trial, go back to the previous version."""
    from townsfolk.personas import PersonaLibrary
    from townsfolk.promotion.registry import Registry

    settings = load_settings(config)
    PersonaLibrary.read(settings.personas_dirs).get(persona)
    standing = ask(url, settings, "/v1/adapters/rollback", {"name": persona, "reason": reason})
    live = standing is not None
    if standing is None:
        standing = Registry.of(settings.promotion).rollback(persona, (reason,)).model_dump()
    serves = str(standing["trial"] or standing["live"])[:16] or "what is shipped"
    show(as_json, f"{persona}: {serves} serves{'' if live else f'; {AT_START}'}", standing)
