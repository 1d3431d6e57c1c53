"""`townsfolk rules`: what villagers may do, checked, and as the game reads it."""

from pathlib import Path
from typing import Annotated

import typer

RulesFile = Annotated[Path | None, typer.Argument(help="A rules file; default: the shipped one.")]


def rules(file: RulesFile = None) -> None:
    """Check a rules file and print it in the game's format: save it as townsfolk_rules.json in the world."""
    from townsfolk.policy.rules import SHIPPED, load_rules

    print(load_rules(file or SHIPPED).for_game(), end="")
