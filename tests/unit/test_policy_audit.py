"""The audit: what each finding rests on, and what is none."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from test_store_rows import new_turn
from typer.testing import CliRunner

from townsfolk.cli import app
from townsfolk.config import StoreSettings
from townsfolk.feedback.store import Store
from townsfolk.policy.audit import audit
from townsfolk.types import Acted, ActedTurn, Action, Outcome


def acted(number: int, tag: str, outcome: str = "done", **fields: object) -> Acted:
    name, *args = tag.split()
    values = {"game_id": "g", "villager_id": "ada", "turn_id": f"t{number}", "player": "", "allowed": True}
    return Acted.model_validate(
        values | {"name": name, "args": args, "tag": tag, "outcome": outcome, "at": 7_200.0 + number} | fields
    )


def spoke(number: int, name: str, player: str, reply: str) -> ActedTurn:
    return ActedTurn(
        game_id="g",
        villager_id=name.lower(),
        turn_id=f"t{number}",
        name=name,
        player=player,
        reply=reply,
        at=7_200.0 + number,
    )


def cycle(*tags: str, rounds: int = 5, outcome: str = "done") -> list[Acted]:
    return [acted(number, tag, outcome) for number, tag in enumerate(tags * rounds)]


@pytest.mark.parametrize(
    ("rule", "actions"),
    [
        ("loop", cycle("dig default:dirt", "place default:dirt")),
        ("loop", cycle("goto home", outcome="failed")),
        ("loop", cycle("move_north", "wave", "move_south")),
        ("resource_abuse", cycle("dig default:stone", rounds=201)),
        ("item_creation", cycle("give default:diamond 99 sam", rounds=17)),
        (
            "policy_evasion",
            [acted(n, "place tnt:tnt", "", allowed=False, rule="explosives", player="sam") for n in range(5)],
        ),
    ],
)
def test_what_is_found(rule: str, actions: list[Acted]) -> None:
    (flag,) = audit(actions, [])
    assert (flag.rule, flag.turn_id, flag.at) == (rule, "t0", 7_200.0)
    assert flag.evidence[0] == actions[0].told()
    assert actions[0].tag in flag.evidence[0]
    assert audit([*actions, acted(900, "wave")], []) == [flag]


@pytest.mark.parametrize("tag", ["give diamond", "give diamond many sam", "give diamond ² sam"])
def test_an_action_of_another_shape_does_not_stop_the_audit(tag: str) -> None:
    """A game may register a `give` of its own."""
    assert audit(cycle(tag, rounds=2), []) == []


@pytest.mark.parametrize(
    "actions",
    [
        cycle("wander", "wait 5", rounds=50),
        cycle("dig default:dirt", "place default:dirt", rounds=4),
        cycle("take default:diamond", "give default:diamond 99 sam", rounds=4),
        cycle("dig default:stone", rounds=200),
        cycle("give default:diamond 99 sam", rounds=16),
        [acted(n, "place x", "", allowed=False, rule="rate") for n in range(50)],
    ],
)
def test_what_is_nothing(actions: list[Acted]) -> None:
    assert audit(actions, []) == []


def test_words_without_end_are_found() -> None:
    spam = [spoke(n, "", "", "Lovely day.") for n in range(6)]
    talk = [spoke(n, *pair, f"Indeed {n}.") for n, pair in enumerate([("Ada", "Bo"), ("Bo", "Ada")] * 4)]
    player = [spoke(n, "Cy", "sam", "Lovely day.") for n in range(20)]
    assert [flag.rule for flag in audit([], spam)] == ["spam"]
    (flag,) = audit([], talk)
    assert (flag.rule, flag.reason) == ("feeding", "Ada and Bo answer each other without end")
    assert audit([], player) == []


def store_in(folder: Path) -> StoreSettings:
    return StoreSettings(
        url=f"sqlite:///{folder / 'a.db'}", spool_dir=folder / "spool", behaviour_log=folder / "b.jsonl"
    )


def fail_again_and_again(store: Store, place: str) -> None:
    """Ada goes five times to `place`, and never gets there."""
    for number in range(5):
        turn = new_turn(f"t{number}", 7_200.0 + number, "ada", Action(name="goto", args=(place,)))
        store.record_turn(turn)
        told = Outcome(turn_id=turn.turn_id, villager_id="ada", action=f"goto {place}", verdict="failed")
        store.record_outcomes("g", [told])
    store.drain()


def test_a_finding_is_flagged_once(tmp_path: Path) -> None:
    settings = store_in(tmp_path)
    command = [sys.executable, "-m", "townsfolk.cli", "audit", "--json", "--hours", "1000000"]
    with closing(Store.open(settings)) as store:
        fail_again_and_again(store, "home")
        environment = {"TOWNSFOLK_STORE__URL": settings.url, "HOME": str(tmp_path)}
        first, second = (
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            for _ in range(2)
        )
        assert (json.loads(first)["rule"], second) == ("loop", "")
        (flag,) = store.list_flags("open")
        assert len(flag.evidence) == 5


def test_what_games_wrote_does_not_steer_the_terminal(tmp_path: Path) -> None:
    settings = store_in(tmp_path)
    with closing(Store.open(settings)) as store:
        fail_again_and_again(store, "\x1b[2J")
    command = ["audit", "--dry-run", "--hours", "1000000"]
    done = CliRunner().invoke(app, command, env={"TOWNSFOLK_STORE__URL": settings.url}, color=True)
    assert "loop: g/ada" in done.stdout
    assert "\x1b" not in done.stdout
