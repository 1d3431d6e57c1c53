"""The behaviour log: a line stays a line, and the file is rotated."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from townsfolk.errors import StoreError
from townsfolk.feedback.behaviour_log import BehaviourLog
from townsfolk.types import Action, ForgetPlayer, Outcome, Turn, Verdict


def turn(said: str) -> Turn:
    return Turn(
        turn_id="t1",
        game_id="g",
        villager_id="ada",
        persona="guard",
        adapter_hash="",
        player="sam",
        context="",
        reply="",
        actions=(Action(name="say", args=(said,)), Action(name="dig", args=("tnt:tnt",))),
        verdicts=(Verdict(allowed=True), Verdict(allowed=False, rule="explosives", reason="no")),
        started_at=1.0,
    )


def test_proposals_and_outcomes(tmp_path: Path) -> None:
    log = BehaviourLog(tmp_path / "logs" / "behaviour.jsonl")
    log.proposed(turn("hello there"))
    log.told("g", "guard", [Outcome(turn_id="t1", villager_id="ada", action="dig a:b", verdict="failed")])
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "logs" / "behaviour.jsonl").read_text().splitlines()]
    assert [(line["action"], line["verdict"], line["rule"]) for line in lines] == [
        ('say "hello there"', "allowed", ""),
        ("dig tnt:tnt", "refused", "explosives"),
        ("dig a:b", "failed", "game"),
    ]
    assert {"time", "game", "villager", "persona", "reason", "turn_id"} <= set(lines[0])


@settings(max_examples=30)
@given(st.text(max_size=80))
def test_any_text_is_one_line(tmp_path_factory: pytest.TempPathFactory, said: str) -> None:
    path = tmp_path_factory.mktemp("log") / "behaviour.jsonl"
    log = BehaviourLog(path)
    log.proposed(turn(said))
    log.close()
    lines = path.read_text(encoding="ascii").split("\n")
    assert len(lines) == 3
    assert said in json.loads(lines[0])["action"]


def test_rotates_by_size(tmp_path: Path) -> None:
    log = BehaviourLog(tmp_path / "b.jsonl", max_bytes=2_000, old_files=2)
    for _ in range(40):
        log.proposed(turn("again"))
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.jsonl", "b.jsonl.1", "b.jsonl.2"]
    assert all(path.stat().st_size <= 2_000 for path in tmp_path.iterdir())


def test_who_is_forgotten_leaves_all_files(tmp_path: Path) -> None:
    log = BehaviourLog(tmp_path / "b.jsonl", max_bytes=2_000, old_files=2)
    for _ in range(5):
        log.proposed(turn("good day, sam"))
        log.proposed(turn("good day, samuel and sam-i-am"))
    log.forget(ForgetPlayer(game_id="other", player="sam"))
    log.forget(ForgetPlayer(game_id="g", player="sam"))
    log.proposed(turn("and on"))
    log.close()
    told = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "day, sam\\" not in told
    assert told.count("sam-i-am") == 5
    assert told.count("and on") == 1


def test_path_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"set store\.behaviour_log"):
        BehaviourLog(tmp_path)
