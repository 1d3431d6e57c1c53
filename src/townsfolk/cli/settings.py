"""`townsfolk settings`: every setting, as a page of Markdown or the values in force."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from townsfolk.cli.options import AsJson, ConfigFile
from townsfolk.config import Settings, load_settings

HEAD = """\
# Settings of the service

Put settings into a YAML file (`townsfolk serve --config FILE`) or into environment variables, which override
the file: `http.port` is `TOWNSFOLK_HTTP__PORT`. `townsfolk settings --json` prints the values in effect.
This page is the output of `townsfolk settings`; a test keeps it up to date.
"""


RECIPES = """\
# Settings of training runs

Put settings into a recipe (`townsfolk train STAGE RECIPE.yaml`) or after it on the command line
(`--lr 1e-3`), which overrides the recipe. This page is the output of `townsfolk settings --recipes`; a test
keeps it up to date.

## All stages
"""
Recipes = Annotated[bool, typer.Option("--recipes", help="Settings of training runs.")]


def settings(config: ConfigFile = None, recipes: Recipes = False, as_json: AsJson = False) -> None:
    """Print all settings, or with --json the values in effect (without the token and passwords)."""
    if as_json:
        print(_in_force(load_settings(config)))
    else:
        print(render_recipes() if recipes else render(), end="")


def _in_force(values: Settings) -> str:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(values.store.url).render_as_string(hide_password=True)
    except ArgumentError:
        url = "no database URL"
    shown = values.model_copy(update={"store": values.store.model_copy(update={"url": url})})
    return shown.model_dump_json(exclude={"api_token"})


def render() -> str:
    """The whole page."""
    sections: dict[str, Any] = {
        name: field.annotation for name, field in Settings.model_fields.items() if _is_section(field)
    }
    plain = {name: field for name, field in Settings.model_fields.items() if name not in sections}
    lines = [HEAD, *_table("", plain)]
    for name, section in sections.items():
        lines += ["", f"## {name}", "", section.__doc__, "", *_table(f"{name}.", section.model_fields)]
    return "\n".join(lines) + "\n"


def render_recipes() -> str:
    """The page of training runs: what all stages are told, then what each adds or has otherwise."""
    from townsfolk.training.stages.config import CONFIGS, RunConfig

    common = RunConfig.model_fields
    lines = [RECIPES, *_table("", common)]
    for name, kind in CONFIGS.items():
        own = {key: field for key, field in kind.model_fields.items() if repr(field) != repr(common.get(key))}
        lines += ["", f"## {name}", "", kind.__doc__ or "", *(["", *_table("", own)] if own else [])]
    return "\n".join(lines) + "\n"


def _is_section(field: Any) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _table(prefix: str, fields: dict[str, Any]) -> Iterator[str]:
    yield "| setting | default | meaning |"
    yield "|---|---|---|"
    for name, field in fields.items():
        default = str(field.get_default(call_default_factory=True)).replace(str(Path.home()), "~")
        shown = f"`{default}`" if default not in ("", "()", "PydanticUndefined") else ""
        yield f"| `{prefix}{name}` | {shown} | {field.description or ''} |"
