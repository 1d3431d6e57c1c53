"""`townsfolk tokens`: who may call the service. A running one sees each change at its next call."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from townsfolk.cli.options import AsJson, ConfigFile, show
from townsfolk.config import load_settings
from townsfolk.errors import InvalidRequest

if TYPE_CHECKING:
    from townsfolk.gateway.tokens import Holder

app = typer.Typer(help="Who may call the service.", no_args_is_help=True)
TokenName = Annotated[str, typer.Argument(help="A name for the token, such as the game's.")]
Scopes = Annotated[list[str], typer.Option("--scope", help="play, rate or admin; may be repeated.")]
GameId = Annotated[str, typer.Option("--game", help="Bind it to this game_id; default: any game.")]


@app.callback()
def tokens() -> None:
    """Who may call the service."""


@app.command()
def add(
    name: TokenName,
    scopes: Scopes = ["play", "rate"],  # noqa: B006 - typer copies it
    game_id: GameId = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Create a token and print it. It is shown only once: the file keeps just its hash."""
    from townsfolk.gateway.tokens import add_token

    holder = _holder(name, scopes, game_id)
    token = add_token(load_settings(config).tokens_file, holder)
    show(as_json, token, {"token": token, **_row(holder)})


@app.command("list")
def list_(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the tokens by name, without their secrets."""
    from townsfolk.gateway.tokens import read_tokens

    rows = [_row(token) for token in read_tokens(load_settings(config).tokens_file)]
    if as_json:
        show(as_json, "", {"tokens": rows})
        return
    table = Table("token", "scopes", "game")
    for row in rows:
        table.add_row(row["name"], row["scopes"], row["game_id"] or "any")
    Console().print(table)


@app.command()
def revoke(name: TokenName, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Revoke a token; a running service refuses it from the next call on."""
    from townsfolk.gateway.tokens import revoke_token

    revoke_token(load_settings(config).tokens_file, name)
    show(as_json, f"{name} is revoked", {"revoked": name})


def _holder(name: str, scopes: list[str], game_id: str) -> "Holder":
    from pydantic import ValidationError

    from townsfolk.gateway.tokens import Holder
    from townsfolk.types import faults_told

    try:
        return Holder.model_validate({"name": name, "scopes": scopes, "game_id": game_id})
    except ValidationError as error:
        raise InvalidRequest(f"token {name!r}: {'; '.join(faults_told(error))}") from error


def _row(holder: "Holder") -> dict[str, str]:
    return {"name": holder.name, "scopes": " ".join(sorted(holder.scopes)), "game_id": holder.game_id}
