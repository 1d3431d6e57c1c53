"""`townsfolk audit`: what villagers did that a person should look at."""

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from townsfolk.cli.options import AsJson, ConfigFile
from townsfolk.config import load_settings
from townsfolk.errors import StoreError

if TYPE_CHECKING:
    from townsfolk.types import AuditFlag

Hours = Annotated[float, typer.Option("--hours", min=0.1, help="How far back to look.")]
Follow = Annotated[bool, typer.Option("--follow", help="Keep watching, and report what is new.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print findings; flag nothing for review.")]


def audit(
    hours: Hours = 24,
    follow: Follow = False,
    dry_run: DryRun = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Find loops, resource abuse, item creation, spam, policy evasion and villagers that feed each other.

    Each finding is flagged for review once. With --json each is a line with its evidence.
    """
    from townsfolk.feedback.acted import ActedRows
    from townsfolk.policy.audit import HOUR
    from townsfolk.policy.audit import audit as find

    settings = load_settings(config)
    told: set[AuditFlag] = set()
    with closing(ActedRows(settings.store.url)) as rows:
        while True:
            since = (time.time() // HOUR - hours) * HOUR
            try:
                found = find(rows.actions(since), rows.turns(since))
                for flag in [flag for flag in found if flag not in told] if dry_run else rows.flag(found):
                    _print(flag, as_json)
                told = set(found)
            except StoreError as error:
                if not follow:
                    raise
                typer.echo(f"warning: {error}", err=True)
            if not follow:
                return
            time.sleep(settings.policy.audit_seconds)


def _print(flag: "AuditFlag", as_json: bool) -> None:
    if as_json:
        print(json.dumps(flag.model_dump(mode="json")), flush=True)
        return
    print(_plain(f"{flag.rule}: {flag.game_id}/{flag.villager_id}: {flag.reason}"), flush=True)
    for line in flag.evidence:
        print(f"    {_plain(line)}", flush=True)


def _plain(text: str) -> str:
    """What players and games wrote must not steer the terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
