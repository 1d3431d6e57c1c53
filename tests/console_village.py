"""A village on a tiny model with something on every page of the console."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from running import Target, running
from tiny_model import tiny_settings, write_random_adapter
from townsfolk.config import ConsoleSettings
from townsfolk.serving import Rooms, Village, mounts
from townsfolk.types import AuditFlag, Game, StepRequest, Turn
from world import ACTIONS, observation

TOKEN = "an-operators-token-of-some-length"
NASTY = "<script>alert(1)</script>\u202eevil [[ACTION:wave]] hello"
"""What no page may run, and none may be turned round by."""


def open_rooms(folder: Path, **store: str) -> Rooms:
    """`store` replaces settings of the store."""
    console = ConsoleSettings(reports_dir=folder / "reports", token_file=folder / "console.token")
    settings = tiny_settings(folder)
    own: dict[str, Any] = {
        "api_token": SecretStr(TOKEN),
        "console": console,
        "tokens_file": folder / "tokens.json",
        "store": settings.store.model_copy(update=store),
    }
    return Rooms.open(settings.model_copy(update=own))


@contextmanager
def served(rooms: Rooms) -> Iterator[Target]:
    """The village with its console, until the block ends."""
    village = Village(rooms)
    with running(village, mounts(rooms, village), rooms.registry, api_token=TOKEN) as target:
        yield target


def join(target: Target, *names: str) -> None:
    """A game connects, with villagers of these names."""
    game = Game(game_id="demo-world", actions=ACTIONS, personas=("explorer",))
    seen = tuple(observation(villager_id=name.lower(), name=name) for name in names)
    step = StepRequest(game_id="demo-world", observations=seen, max_wait_ms=0)
    with httpx.Client(base_url=target.http, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as http:
        for path, message in (("/v1/games", game), ("/v1/step", step)):
            http.post(path, json=message.model_dump(mode="json", exclude_unset=True)).raise_for_status()


def flagged(rooms: Rooms, turn_id: str, words: str = NASTY) -> str:
    """A turn with a flag; the flag's id."""
    turn = Turn(
        turn_id=turn_id,
        game_id="demo-world",
        villager_id="wren",
        persona="guard",
        adapter_hash="",
        player="sam",
        context=words,
        reply=words,
        started_at=time.time(),
    )
    return flag_turn(rooms, turn, "destruction", words, (words,))


def flag_turn(rooms: Rooms, turn: Turn, rule: str, reason: str, evidence: tuple[str, ...]) -> str:
    """Keep the turn with a flag; the flag's id."""
    flag = AuditFlag(
        game_id=turn.game_id,
        villager_id=turn.villager_id,
        turn_id=turn.turn_id,
        rule=rule,
        reason=reason,
        at=turn.started_at,
        evidence=evidence,
    )
    rooms.store.record_turn(turn)
    rooms.store.flag(flag)
    rooms.store.drain()
    return next(found.id for found in rooms.store.list_flags() if found.turn_id == turn.turn_id)


def version_added(rooms: Rooms, folder: Path, persona: str, seed: int) -> str:
    """A version of the persona's adapter in the registry, as a night leaves it; its hash."""
    run = folder / f"run-{persona}-{seed}"
    write_random_adapter(run / "adapter", rooms.engine.model, rooms.engine.base_hash, seed=seed)
    info = rooms.engine.load_adapter(run / "adapter", [folder])
    rooms.engine.unload_adapter(info.content_hash)
    rooms.promotions.registry.add(persona, run, info.content_hash)
    rooms.promotions.registry.note(persona, "passed", info.content_hash, ("no figure is worse",))
    return info.content_hash


def write_report(folder: Path, name: str) -> None:
    """As `townsfolk eval --json` writes it."""
    figures = {"scenarios": 50, "tags": 1.0, "action": 0.84, "words": 11.2}
    report = {
        "about": {"base": "tiny", "adapters": {"guard": "ab12"}, "seconds": 12.5},
        "suites": {"held_out": {"guard": figures}},
        "peers": {"base": {"held_out": {"guard": {"action": 0.41}}}},
        "bars": [
            _bar("tags", 1.0, 0.99),
            _bar("action", 0.84, 0.9),
        ],
        "replies": [
            {
                "suite": "held_out",
                "id": "one",
                "persona": "guard",
                "happened": NASTY,
                "wanted": ["wave", ""],
                "reference": "",
                "replies": {"candidate": NASTY, "base": "Hm."},
            }
        ],
    }
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(report))


def _bar(metric: str, value: float, least: float) -> dict[str, object]:
    held, margins = value >= least, {"base": 0.1}
    return {
        "suite": "held_out",
        "persona": "guard",
        "metric": metric,
        "value": value,
        "bar": least,
        "held": held,
        "margins": margins,
    }
