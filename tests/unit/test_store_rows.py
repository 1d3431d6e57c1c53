"""The Store's rows: what is written is read back, replaced, joined and refused as its docstrings say."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from townsfolk.config import StoreSettings
from townsfolk.errors import Forbidden, UnknownName
from townsfolk.feedback import rows
from townsfolk.feedback.database import Database
from townsfolk.feedback.store import Store
from townsfolk.types import (
    Action,
    ActionSpec,
    AdapterVersion,
    AuditFlag,
    DemoBatch,
    DemoStep,
    Game,
    LogEntry,
    Memory,
    Observation,
    Outcome,
    Position,
    Rating,
    Turn,
    Verdict,
)


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    return StoreSettings(
        url=f"sqlite:///{tmp_path / 'home' / 'store.db'}",
        spool_dir=tmp_path / "spool",
        behaviour_log=tmp_path / "behaviour.jsonl",
    )


@pytest.fixture
def store(settings: StoreSettings) -> Iterator[Store]:
    opened = Store.open(settings)
    yield opened
    opened.close()


def new_turn(turn_id: str, at: float = 1.0, villager: str = "ada", *actions: Action) -> Turn:
    return Turn(
        turn_id=turn_id,
        game_id="g",
        villager_id=villager,
        persona="guard",
        adapter_hash="ab12",
        player="sam",
        context="<context>\nüñï",
        reply="Hello",
        actions=actions,
        verdicts=(Verdict(allowed=True),) * len(actions),
        started_at=at,
    )


def query(settings: StoreSettings, statement: str) -> list[tuple[object, ...]]:
    engine = create_engine(settings.url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(statement))]
    engine.dispose()
    return found


def test_turns_are_read_back_oldest_first(store: Store) -> None:
    turns = [
        new_turn(f"t{number}", float(number), "ada", Action(name="say", args=("hi you",)))
        for number in range(5)
    ]
    for turn in (*turns, new_turn("other", 9.0, "bob")):
        store.record_turn(turn)
    store.drain()
    assert store.recent_turns("g", "ada", 3) == tuple(turns[2:])
    assert store.recent_turns("other", "ada", 3) == ()


def test_turn_recorded_twice_is_one_row(store: Store) -> None:
    for _ in range(2):
        store.record_turn(new_turn("t", 1.0, "ada", Action(name="wait")))
    store.drain()
    assert (store.counts()["turns"], store.counts()["actions"]) == (1, 1)


def test_a_sign_told_again_is_one_row(store: Store) -> None:
    sign = LogEntry(game_id="g", kind="stayed", player="sam", at=1.5)
    for entry in (sign, sign, sign.model_copy(update={"at": 2.5})):
        store.log(entry)
    store.drain()
    assert store.counts()["engagement"] == 2


def test_verdicts_and_outcomes_stand_in_one_row_whichever_comes_first(
    store: Store, settings: StoreSettings
) -> None:
    wait, dig = Action(name="wait"), Action(name="dig", args=("default:dirt",))
    early = Outcome(turn_id="t", villager_id="ada", action="dig default:dirt", verdict="failed", reason="far")
    store.record_outcomes("g", [early])
    store.record_turn(new_turn("t", 1.0, "ada", wait, dig, wait))
    store.record_outcomes("g", [Outcome(turn_id="t", villager_id="ada", action="wait", verdict="done")])
    store.drain()
    rows = query(
        settings, "SELECT position, tag, allowed, outcome, outcome_reason FROM actions ORDER BY position"
    )
    assert rows == [
        (0, "wait", 1, "done", ""),
        (1, "dig default:dirt", 1, "failed", "far"),
        (2, "wait", 1, None, None),
    ]


def test_outcome_is_not_given_to_an_action_that_policy_refused(store: Store, settings: StoreSettings) -> None:
    action = Action(name="wait")
    refused = Verdict(allowed=False, rule="rate", reason="wait")
    turn = new_turn("t", 1.0, "ada", action, action).model_copy(
        update={"verdicts": (refused, Verdict(allowed=True))}
    )
    store.record_turn(turn)
    store.record_outcomes("g", [Outcome(turn_id="t", villager_id="ada", action="wait", verdict="done")])
    store.drain()
    rows = query(settings, "SELECT position, rule, outcome FROM actions ORDER BY position")
    assert rows == [(0, "rate", None), (1, "", "done")]


def test_outcome_of_a_turn_that_was_never_recorded_is_kept(store: Store, settings: StoreSettings) -> None:
    store.record_outcomes("g", [Outcome(turn_id="x", villager_id="ada", action="goto home", verdict="done")])
    store.drain()
    assert query(settings, "SELECT turn_id, position, name, outcome FROM actions") == [
        ("x", None, "goto", "done")
    ]


def test_rating_again_replaces(store: Store, settings: StoreSettings) -> None:
    store.record_turn(new_turn("t"))
    store.rate(Rating(turn_id="t", player="sam", value=1))
    store.rate(Rating(turn_id="t", player="eve", value=1))
    store.rate(Rating(turn_id="t", player="sam", value=-1, comment="no"))
    store.drain()
    rows = query(settings, "SELECT player, value, comment FROM ratings ORDER BY player")
    assert rows == [("eve", 1, ""), ("sam", -1, "no")]


def test_rating_an_unknown_turn_is_told(store: Store) -> None:
    with pytest.raises(UnknownName, match="turn 'nope' is not known"):
        store.rate(Rating(turn_id="nope", player="sam", value=1))
    store.drain()
    assert store.counts()["ratings"] == 0


def test_old_turn_can_be_rated_after_a_restart(settings: StoreSettings) -> None:
    first = Store.open(settings)
    first.record_turn(new_turn("t"))
    first.close()
    second = Store.open(settings)
    second.rate(Rating(turn_id="t", player="sam", value=1))
    second.close()
    assert query(settings, "SELECT count(*) FROM ratings") == [(1,)]


def test_engagement_names_its_turn(store: Store, settings: StoreSettings) -> None:
    entry = LogEntry(game_id="g", player="sam", kind="answered", turn_id="t")
    store.log(entry, entry.model_copy(update={"kind": "left", "turn_id": ""}))
    store.drain()
    found = query(settings, "SELECT player, kind, turn_id FROM engagement ORDER BY id")
    assert found == [("sam", "answered", "t"), ("sam", "left", "")]


def demo_step(number: int, action: str) -> DemoStep:
    seen = Observation(villager_id="player:sam", name="sam", persona="builder", snapshot_time=3.5)
    return DemoStep(number=number, action=action, place=Position(x=1, y=0, z=-2), observation=seen)


def test_steps_of_a_demonstration_are_kept_once(store: Store, settings: StoreSettings) -> None:
    steps = (demo_step(0, "place default:wood"), demo_step(1, "place default:wood"), demo_step(2, "wave"))
    for told in (steps[:2], steps[1:]):  # the answer to the first batch was lost
        store.demonstrate(DemoBatch(game_id="g", demo_id="d1", name="hut", player="sam", steps=told))
    store.drain()
    rows = query(settings, "SELECT demo_id, name, player, number, text, at FROM demos ORDER BY id")
    assert rows == [("d1", "hut", "sam", step.number, step.action, 3.5) for step in steps]
    (place, observation), *_ = query(settings, "SELECT place, observation FROM demos")
    assert Position.model_validate_json(str(place)) == steps[0].place
    assert Observation.model_validate_json(str(observation)) == steps[0].observation


def test_memories_outlive_a_restart_and_are_replaced(settings: StoreSettings) -> None:
    old = Memory(
        game_id="g", villager_id="ada", player="sam", facts=("likes apples",), met_count=1, last_seen=1
    )
    new = old.model_copy(update={"facts": ("likes apples", "lost a sword"), "met_count": 2})
    eve = old.model_copy(update={"player": "eve"})
    store = Store.open(settings)
    for memory in (old, eve, new):
        store.remember(memory)
    store.close()
    store = Store.open(settings)
    assert store.memories_of("g", "ada") == (eve, new)
    assert store.memories_of("g", "bob") == ()
    store.close()


def test_games_adapters_and_flags(store: Store, settings: StoreSettings) -> None:
    for version in ("1", "2"):
        store.record_game(Game(game_id="g", mod_version=version, actions=(ActionSpec(name="wait"),)))
    adapter = AdapterVersion(
        name="guard", content_hash="ab", rank=8, size_bytes=10, resident=True, base_hash="cd"
    )
    store.record_adapter(adapter)
    store.record_adapter(adapter)
    store.flag(AuditFlag(game_id="g", villager_id="ada", turn_id="t", rule="lava", reason="no", at=1.0))
    store.drain()
    assert query(settings, "SELECT mod_version FROM games") == [("2",)]
    assert query(settings, "SELECT name, rank FROM adapter_versions") == [("guard", 8)]
    assert query(settings, "SELECT rule, at FROM flags") == [("lava", 1.0)]


def test_row_that_the_database_refuses_is_set_aside(store: Store, settings: StoreSettings) -> None:
    mismatched = new_turn("bad", 1.0, "ada", Action(name="wait")).model_copy(update={"verdicts": ()})
    store.record_turn(new_turn("before"))
    store.record_turn(mismatched)
    store.record_turn(new_turn("after"))
    store.drain()
    assert query(settings, "SELECT turn_id FROM turns ORDER BY turn_id") == [("after",), ("before",)]
    aside = json.loads((settings.spool_dir / "rejected.jsonl").read_text())
    assert (aside["body"]["turn_id"], store.stats().rejected) == ("bad", 1)
    assert store.stats().spooled == 0


def test_nul_is_storable_everywhere(store: Store) -> None:
    store.record_turn(new_turn("t").model_copy(update={"reply": "a\0b"}))
    store.drain()
    assert store.recent_turns("g", "ada", 1)[0].reply == "a\ufffdb"


def test_lost_rows_are_counted(settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(settings.model_copy(update={"spool_max_bytes": 100}))
    future = store.record_turn(new_turn("t"))
    assert "is full" in str(future.exception(timeout=5))
    assert store.stats().lost == 1
    with pytest.raises(UnknownName):
        store.rate(Rating(turn_id="t", player="sam", value=1))
    store.close()


def test_many_threads_at_once(store: Store) -> None:
    def rate(number: int) -> None:
        store.record_turn(new_turn(f"t{number}"))
        store.rate(Rating(turn_id=f"t{number}", player="sam", value=1))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(rate, range(200)))
    store.drain()
    assert (store.counts()["turns"], store.counts()["ratings"]) == (200, 200)


def test_a_rating_that_could_not_be_judged_is_when_it_is_applied(
    store: Store, settings: StoreSettings
) -> None:
    """As when the database was away."""
    store.record_turn(new_turn("t"))
    store.drain()
    rating = Rating(turn_id="t", player="sam", value=1, game_id="elsewhere")
    database = Database(settings.url)
    with database.transaction() as session, pytest.raises(Forbidden, match="not of the game 'elsewhere'"):
        rows.apply(session, rows.to_payload(rating, 1.0))
    database.close()
    with pytest.raises(Forbidden):
        store.rate(rating)
    assert store.counts()["ratings"] == 0
