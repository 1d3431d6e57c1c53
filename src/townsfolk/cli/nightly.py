"""`townsfolk nightly`: from the day's ratings to better villagers, where the gate lets them."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from townsfolk.cli.options import AsJson, ConfigFile
from townsfolk.cli.promote import add_version, put_live
from townsfolk.config import Settings, load_settings
from townsfolk.errors import TownsfolkError


def nightly(
    persona: Annotated[
        list[str] | None, typer.Option(help="Who learns; may be repeated. Default: all.")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Collect, build, train, evaluate, and promote what passes the gate; resume what was interrupted.

    Exit status 1 if it failed for any persona.
    """
    from townsfolk.personas import PersonaLibrary
    from townsfolk.promotion.nightly import alone

    settings = load_settings(config)
    library = PersonaLibrary.read(settings.personas_dirs)
    names = persona or sorted(library.personas)
    names = [library.get(name).name for name in names]
    with alone(settings.nightly.home):
        nights = [_tried(settings, name, config, as_json) for name in names]
    if as_json:
        print(json.dumps([report for report in nights if report]))
    raise typer.Exit(int(None in nights))


def _tried(settings: Settings, persona: str, config: Path | None, quiet: bool) -> dict[str, object] | None:
    """The night's report; None: it failed, which is told, and the others learn all the same."""
    try:
        return _night(settings, persona, config, quiet)
    except (TownsfolkError, OSError) as error:
        print(f"error: {persona}: {error}", file=sys.stderr)
        return None


def _night(settings: Settings, persona: str, config: Path | None, quiet: bool) -> dict[str, object]:
    from townsfolk.promotion.nightly import PAGE, Night, night_folder
    from townsfolk.serving.night import NightPlan

    def promote(folder: Path) -> str:
        version = add_version(settings, persona, folder)
        put_live(settings, persona, version)
        return version

    def told(step: str) -> None:
        if not quiet:
            print(f"{persona}: {step}", flush=True)

    folder = night_folder(settings.nightly.home / persona, settings.nightly.keep)
    plan = NightPlan(persona, folder, settings, promote, config)
    report = Night(persona, folder, plan.steps(), told).run()
    told(f"{report['outcome']} ({folder / PAGE})")
    return report
