"""What tests write to a store; test_store_crash.py does so for ever, in a process of its own."""

from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

from townsfolk.config import StoreSettings
from townsfolk.feedback.store import Store
from townsfolk.types import (
    Action,
    AuditFlag,
    DemoBatch,
    DemoStep,
    LogEntry,
    Memory,
    Observation,
    Outcome,
    Position,
    Rating,
    Turn,
    Verdict,
)

OF_PLAYERS = ("turns", "actions", "ratings", "memories", "engagement", "demos", "flags")
"""Tables that know players."""


def settings_in(home: Path) -> StoreSettings:
    return StoreSettings(
        url=f"sqlite:///{home / 'store.db'}",
        spool_dir=home / "spool",
        behaviour_log=home / "behaviour.jsonl",
    )


def new_turn(turn_id: str) -> Turn:
    return Turn(
        turn_id=turn_id,
        game_id="g",
        villager_id="ada",
        persona="guard",
        adapter_hash="",
        player="sam",
        context="context " * 50,
        reply="reply",
        actions=(Action(name="wait"),),
        verdicts=(Verdict(allowed=True),),
        started_at=1.0,
    )


def turn_of(player: str) -> Turn:
    return new_turn(f"of-{player}").model_copy(update={"player": player})


def keep_all_of(store: Store, player: str) -> None:
    """One row in each of `OF_PLAYERS`."""
    store.record_turn(turn_of(player))
    store.rate(Rating(turn_id=f"of-{player}", player=player, value=1))
    store.remember(Memory(game_id="g", villager_id="ada", player=player, facts=("hit you",)))
    store.log(LogEntry(game_id="g", player=player, kind="stayed"))
    store.flag(AuditFlag(game_id="g", turn_id=f"of-{player}", rule="lava", reason="no", at=1.0))
    seen = Observation(villager_id="player", name=player, persona="builder", snapshot_time=3.5)
    step = DemoStep(number=0, action="wave", place=Position(x=0, y=0, z=0), observation=seen)
    store.demonstrate(DemoBatch(game_id="g", demo_id=player, name="hut", player=player, steps=(step,)))


def write_for_ever(home: Path, run: str, acknowledged: "Connection[str, None]") -> None:
    """Tell that it starts, open the store in `home` and write until killed; rows are named after `run`."""
    acknowledged.send("started")
    store = Store.open(settings_in(home))
    for number in count():
        turn_id = f"{run}-{number}"
        durable = store.record_turn(new_turn(turn_id))
        outcome = Outcome(turn_id=turn_id, villager_id="ada", action="wait", verdict="done")
        store.record_outcomes("g", [outcome])
        store.rate(Rating(turn_id=turn_id, player="sam", value=1))
        durable.result()
        acknowledged.send(turn_id)
        store.log(LogEntry(game_id="g", kind="joined", text=f"log-{turn_id}"))
        acknowledged.send(f"log-{turn_id}")
