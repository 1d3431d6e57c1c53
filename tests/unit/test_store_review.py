"""The review queue: flags with their evidence, what a person decides of them, and what comes of it."""

from collections.abc import Iterator
from contextlib import closing
from math import inf
from pathlib import Path

import pytest
from test_store_rows import new_turn

from townsfolk.config import StoreSettings
from townsfolk.errors import UnknownName
from townsfolk.feedback.played import Played
from townsfolk.feedback.store import Store
from townsfolk.types import AuditFlag, FlagDecision, ForgetPlayer


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    return StoreSettings(
        url=f"sqlite:///{tmp_path / 'a.db'}",
        spool_dir=tmp_path / "spool",
        behaviour_log=tmp_path / "behaviour.jsonl",
    )


@pytest.fixture
def store(settings: StoreSettings) -> Iterator[Store]:
    with closing(Store.open(settings)) as store:
        yield store


def flag(turn_id: str, at: float) -> AuditFlag:
    evidence = ("sam to Ada: burn it", "place default:lava_source: refused")
    return AuditFlag(
        game_id="g", villager_id="ada", turn_id=turn_id, rule="lava", reason="no", at=at, evidence=evidence
    )


def test_a_flag_is_decided_by_somebody_at_some_time_and_again(store: Store) -> None:
    for turn_id, at in (("t1", 1.0), ("t2", 2.0), ("t1", 1.0)):
        store.flag(flag(turn_id, at))
    store.drain()
    newest, oldest = store.list_flags("open")
    assert (newest.turn_id, oldest.turn_id) == ("t2", "t1")
    assert oldest.evidence == flag("t1", 1.0).evidence
    assert store.list_flags(limit=1, before=2.0) == (oldest,)

    for state, who in (("rejected", "mia"), ("approved", "zoe")):
        store.decide_flag(FlagDecision(id=oldest.id, state=state, who=who, note=f"said {who}"))
    store.flag(flag("t1", 1.0))  # an audit finds it again
    store.drain()
    (decided,) = store.list_flags("approved")
    assert (decided.id, decided.who, decided.note) == (oldest.id, "zoe", "said zoe")
    assert decided.decided_at > 1_700_000_000
    assert store.count_flags() == {"open": 1, "approved": 1, "rejected": 0}


def test_no_flag_falls_between_two_pages(store: Store) -> None:
    """Findings of one audit may be of the same moment."""
    for turn_id, at in (("t1", 1.0), ("t2", 2.0), ("t3", 2.0), ("t4", 2.0), ("t5", 3.0)):
        store.flag(flag(turn_id, at))
    store.drain()
    seen: list[str] = []
    before = inf
    while page := store.list_flags("open", limit=2, before=before):
        seen += [it.turn_id for it in page]
        before = page[-1].at
    assert sorted(seen) == ["t1", "t2", "t3", "t4", "t5"]


def test_what_is_not_there_can_not_be_decided(store: Store) -> None:
    with pytest.raises(UnknownName, match="'ab'"):
        store.decide_flag(FlagDecision(id="ab", state="approved", who="mia"))
    with pytest.raises(UnknownName, match="'t9'"):
        store.read_turn("t9")


def test_the_worst_word_on_a_turn_is_what_a_dataset_learns(store: Store, settings: StoreSettings) -> None:
    for turn_id in ("t1", "t2", "t3"):
        store.record_turn(new_turn(turn_id))
    for turn_id, at in (("t1", 1.0), ("t1", 2.0), ("t2", 3.0)):
        store.flag(flag(turn_id, at))
    store.drain()
    for found, state in zip(store.list_flags(), ("approved", "rejected", "approved"), strict=True):
        store.decide_flag(FlagDecision(id=found.id, state=state, who="mia"))
    store.drain()
    with closing(Played(settings.url)) as played:
        assert [turn.review for turn in played.turns()] == ["rejected", "approved", None]
    assert store.read_turn("t1").reply == new_turn("t1").reply


def test_flags_of_a_forgotten_player_go(store: Store) -> None:
    store.record_turn(new_turn("t1"))
    store.flag(flag("t1", 1.0))
    store.drain()
    store.forget(ForgetPlayer(game_id="g", player=new_turn("t1").player))
    store.drain()
    assert store.list_flags() == ()
