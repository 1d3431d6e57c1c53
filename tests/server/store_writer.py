"""What test_store_crash.py runs in a process of its own: writes for ever and tells each acknowledged row."""

from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

from townsfolk.config import StoreSettings
from townsfolk.feedback.store import Store
from townsfolk.types import Action, LogEntry, Outcome, Rating, Turn, Verdict


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
