"""A player who wishes to be forgotten leaves the tables, the spool and what was set aside; others stay."""

from pathlib import Path

from sqlalchemy import create_engine, text
from store_writer import OF_PLAYERS, keep_all_of, new_turn, settings_in, turn_of

from townsfolk.agents import Session
from townsfolk.agents.session import Window
from townsfolk.feedback.rows import player_hash
from townsfolk.feedback.store import Store
from townsfolk.types import ForgetPlayer, Memory, Rating

SAM = ForgetPlayer(game_id="g", player="sam")


def players_in(home: Path, table: str) -> list[str]:
    engine = create_engine(settings_in(home).url)
    with engine.connect() as connection:
        found = list(connection.scalars(text(f"SELECT player FROM {table}")))
    engine.dispose()
    return found


def test_all_of_one_player_goes_and_nothing_of_others(tmp_path: Path) -> None:
    store = Store.open(settings_in(tmp_path))
    for player in ("sam", "mia"):
        keep_all_of(store, player)
    store.rate(Rating(turn_id="of-mia", player="sam", value=-1))
    store.record_turn(new_turn("refused").model_copy(update={"verdicts": ()}))
    store.drain()
    set_aside = settings_in(tmp_path).spool_dir / "rejected.jsonl"
    assert "refused" in set_aside.read_text()

    store.forget(SAM)
    store.drain()
    assert {name: store.counts()[name] for name in OF_PLAYERS} == dict.fromkeys(OF_PLAYERS, 1)
    for table in ("turns", "ratings", "memories", "engagement", "demos"):
        assert players_in(tmp_path, table) == ["mia"]
    assert store.forgotten() == {player_hash("g", "sam")}
    store.close()
    assert set_aside.read_text() == ""


def test_the_spool_keeps_nothing_but_the_wish(tmp_path: Path) -> None:
    store = Store.open(settings_in(tmp_path))
    store.record_turn(turn_of("sam"))
    store.drain()
    store.forget(SAM)
    store.drain()
    store.close()
    kept = [file.read_text() for file in settings_in(tmp_path).spool_dir.glob("0*.jsonl")]
    assert [content.count("sam") for content in kept] == [1]


def test_a_line_set_aside_that_a_crash_tore_goes_too(tmp_path: Path) -> None:
    set_aside = settings_in(tmp_path).spool_dir / "rejected.jsonl"
    set_aside.parent.mkdir()
    whole = '{"kind": "Rating", "at": 1.0, "body": {"turn_id": "t", "player": "mia"}}\n'
    set_aside.write_text(whole + '{"kind": "Rating", "at": 1.0, "bo')
    store = Store.open(settings_in(tmp_path))
    store.forget(SAM)
    store.drain()
    store.close()
    assert set_aside.read_text() == whole


def test_what_waits_for_the_database_is_forgotten_with_the_rest(tmp_path: Path) -> None:
    in_the_way = tmp_path / "store.db"
    in_the_way.mkdir()
    store = Store.open(settings_in(tmp_path))
    keep_all_of(store, "sam")
    store.forget(SAM)
    store.close()
    in_the_way.rmdir()
    store = Store.open(settings_in(tmp_path))
    store.drain()
    assert not any(store.counts()[name] for name in OF_PLAYERS)
    store.close()


def test_a_villager_keeps_nothing_in_mind() -> None:
    session = Session("g", "ada", 8)
    texts = (("sam to Ada: hi", "Hello."), ("mia to Ada: hi", "Hello."), ("mia to Ada: who?", "sam."))
    told = [Window(*text) for text in texts]
    session.restore(told, [Memory(game_id="g", villager_id="ada", player=name) for name in ("sam", "mia")])
    session.forget("sam")
    left = [(window.text, window.reply) for window in session.windows]
    assert ([*session.memories], left) == (["mia"], [texts[1]])
