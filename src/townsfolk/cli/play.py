"""`townsfolk play`: the demo village, for visitors or for its selftest."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from townsfolk import basemodel

RUN = Path("run")


def play(
    world: Annotated[Path, typer.Option(help="The world's folder; created if missing.")] = RUN / "world",
    port: Annotated[int, typer.Option(help="UDP port of the game.")] = 30_000,
    http_port: Annotated[int, typer.Option(help="TCP port of the service's HTTP.")] = 8123,
    grpc_port: Annotated[int, typer.Option(help="TCP port of the service's gRPC.")] = 50_051,
    model: Annotated[Path | None, typer.Option(help="A GGUF file; default: the embedded base model.")] = None,
    luanti: Annotated[
        Path | None, typer.Option(help="The game server's executable; default: the first one found.")
    ] = None,
    selftest: Annotated[
        bool, typer.Option("--selftest", help="A bot visits as a player, on free ports, in its own world.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the selftest's report to this file.")
    ] = None,
) -> None:
    """Run the demo village on this machine until ctrl-C, or check with --selftest that all of it works."""
    from townsfolk.demo.host import Place, host, run_selftest
    from townsfolk.demo.village import Ports

    console = Console()
    place = Place(model=model or basemodel.default_path(), logs=RUN / "logs", server=luanti)
    if not selftest:
        host(world, Ports(http_port, grpc_port, port), place, console)
        return
    report = run_selftest(RUN, place, console)
    if json:
        report.write(json)
    raise typer.Exit(0 if report.held else 1)
