"""The command line: `townsfolk --help` is its map, one file per command.

Knows flags and printing. Commands import what they need when they run, so that help is there at once.
"""

import sys

import typer

from townsfolk.cli import (
    audit,
    data,
    db,
    health,
    metrics,
    models,
    nightly,
    personas,
    play,
    promote,
    rollback,
    rules,
    serve,
    settings,
    tokens,
    train,
)
from townsfolk.cli import eval as evaluation
from townsfolk.errors import TownsfolkError

app = typer.Typer(
    name="townsfolk",
    help="Fine-tuned AI villagers for Luanti.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("health")(health.health)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(db.app, name="db")
app.command("personas")(personas.personas)
app.command("audit")(audit.audit)
app.command("rules")(rules.rules)
app.command("settings")(settings.settings)
app.add_typer(tokens.app, name="tokens")
app.command("metrics")(metrics.metrics)
app.command("play")(play.play)
app.command("nightly")(nightly.nightly)
app.command("promote")(promote.promote)
app.command("rollback")(rollback.rollback)
app.command("train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(train.train)
app.command("eval")(evaluation.evaluate)


def main() -> None:
    """Run the command; an error of this package is one line and exit status 1."""
    try:
        app()
    except TownsfolkError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
