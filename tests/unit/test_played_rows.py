"""What was played as rows: rewards by the documented signs, no names, no addresses; the guide's lines."""

import json
from pathlib import Path

import pytest

from townsfolk.errors import ConfigError
from townsfolk.training.data.guide import guide_lines, read_guide
from townsfolk.training.data.played import EXPLICIT, IMPLICIT, reward_of, rows_of_steps, rows_of_turns
from townsfolk.training.data.privacy import Mask
from townsfolk.training.data.rows import DataRow
from townsfolk.types import (
    Action,
    Event,
    EventKind,
    Node,
    Observation,
    PlayedTurn,
    Position,
    SelfState,
    ShownStep,
    Surroundings,
    Thing,
    Turn,
    Verdict,
)
from townsfolk.types.stand_ins import NO_WORDS


def played(allowed: bool = True, **fields: object) -> PlayedTurn:
    turn = Turn(
        turn_id="t1",
        game_id="g",
        villager_id="ada",
        persona="guard",
        adapter_hash="",
        player="zoe_99",
        context="(zoe_99 hit you.)\nzoe_99 to Ada: follow me, or mail zoe@example.org",
        reply="[[ACTION:follow zoe_99]] Right behind you, zoe_99.",
        actions=(Action(name="follow", args=("zoe_99",)),),
        verdicts=(Verdict(allowed=allowed),),
        started_at=1.0,
    )
    return PlayedTurn.model_validate({"turn": turn, "who": "ab12", **fields})


@pytest.mark.parametrize(
    ("turn", "judged"),
    [
        (played(), None),
        (played(ratings=(1, 1, -1, 1)), (0.5, EXPLICIT)),
        (played(ratings=(-1,), signs=("answered", "traded")), (-1.0, EXPLICIT)),
        (played(signs=("answered", "answered", "stayed", "joined")), (0.5, IMPLICIT)),
        (played(signs=("left",)), (-0.5, IMPLICIT)),
        (played(signs=("answered", "stayed", "followed", "traded")), (1.0, IMPLICIT)),
        (played(outcomes=("done", "failed")), (-0.3, IMPLICIT)),
        (played(allowed=False), (-1.0, 0.5)),
        (played(allowed=False, review="open"), (-1.0, 0.5)),
        (played(allowed=False, review="approved"), None),
        (played(review="rejected", ratings=(1,)), (-1.0, EXPLICIT)),
    ],
)
def test_rewards(turn: PlayedTurn, judged: tuple[float, float] | None) -> None:
    found = reward_of(turn)
    assert found == (pytest.approx(judged) if judged else None)


def test_a_row_names_nobody_and_nothing_in_it_contradicts() -> None:
    (row,) = rows_of_turns([played(ratings=(1,)), played()], frozenset({"zoe_99", "mia"}))
    name = row.reply.removeprefix("[[ACTION:follow ").partition("]]")[0]
    assert name in NO_WORDS
    assert name != "mia"
    assert row.reply == f"[[ACTION:follow {name}]] Right behind you, {name}."
    assert row.context == f"({name} hit you.)\n{name} to Ada: follow me, or mail (an address)"
    assert (row.group, row.source, row.reward) == ("player/ab12", "turn", 1.0)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("see https://a.b/c?d and www.x.net", "see (a link) and (a link)"),
        ("join play.example.com now", "join play.(a link) now"),
        ("me+x@example.co.uk!", "(an address)!"),
        ("at 192.168.0.1:30000", "at (an address)"),
        ("fe80:0:0:0:12:34:56:78", "(an address)"),
        ("from 2001:db8::7", "from (an address)"),
        ("mod::name, 12:30:45, a: :b ::D", "mod::name, 12:30:45, a: :b ::D"),
        ("call +49 170 1234567", "call (a number)"),
        ("12 steps north, 64 torches", "12 steps north, 64 torches"),
        ("bobby, not bob or bob-2", "bobby, not sam or bob-2"),
    ],
)
def test_masked(text: str, masked: str) -> None:
    mask = Mask({"bob"}, salt="")
    assert mask.text(text) == masked.replace("sam", mask.names("bob"))


def test_however_many_are_named_each_keeps_one_stand_in() -> None:
    players = [f"player_{n:02}" for n in range(40)]
    text = Mask(players, salt="x").text(" ".join((*players, *players)))
    named = text.split()
    assert named[:40] == named[40:]
    assert len(set(named)) == 40


def test_a_name_of_many_digits_is_a_name() -> None:
    turn = played(ratings=(1,))
    turn = turn.model_copy(
        update={"turn": turn.turn.model_copy(update={"context": "anna19951224 to Ada: hi"})}
    )
    (row,) = rows_of_turns([turn], frozenset({"anna19951224"}))
    assert row.context.partition(" ")[0] in NO_WORDS


def test_who_only_stood_by_is_not_named() -> None:
    turn = played(ratings=(1,))
    context = "(Near: player kim 3 north. kim holds torch.)\nzoe_99 to Ada: hi"
    turn = turn.model_copy(update={"turn": turn.turn.model_copy(update={"context": context})})
    (row,) = rows_of_turns([turn], frozenset())
    assert "kim" not in row.context


@pytest.mark.parametrize(("context", "reply"), [("hi", "long " * 200), ("1.1.1.1 " * 499, "Hi.")])
def test_what_is_too_long_for_a_row_is_left_out(context: str, reply: str) -> None:
    turn = played(ratings=(1,))
    changed = turn.turn.model_copy(update={"context": context, "reply": reply})
    assert not list(rows_of_turns([turn.model_copy(update={"turn": changed})], frozenset()))


def test_a_step_that_was_shown_is_to_be_imitated() -> None:
    seen = Observation(
        villager_id="player:zoe_99",
        name="zoe_99",
        persona="builder",
        snapshot_time=1.0,
        me=SelfState(position=Position(x=0, y=0, z=0), hp=20),
        around=Surroundings(
            things=tuple(
                Thing(kind="player", name=name, distance=2, direction="east")
                for name in ("mia", "user12345678")
            ),
            nodes=(Node(name="x:sign", distance=3, direction="north", text="1.1.1.1 " * 62),),
        ),
        events=(Event(kind=EventKind.TICK, at=1.0),),
    )
    step = ShownStep(
        demo_id="d", number=0, who="ab", player="zoe_99", persona="builder", action="wave", observation=seen
    )
    steps = [step, step.model_copy(update={"action": "craft default:stick 4", "number": 1})]
    (row,) = rows_of_steps(steps, frozenset({"zoe_99", "mia"}))
    assert (row.reply, row.reward, row.persona) == ("[[ACTION:wave]]", None, "builder")
    assert row.observation is not None
    assert "zoe_99" not in row.observation.model_dump_json()
    assert "mia" not in row.observation.model_dump_json()
    assert "user" not in row.observation.model_dump_json()
    assert DataRow.model_validate_json(row.model_dump_json()) == row


def test_titles_that_players_wrote_name_nobody() -> None:
    where = {"distance": 2, "direction": "east"}
    title = "zoe_99's diary, zoe@example.org"
    near = Surroundings.model_validate(
        {
            "things": [{"kind": "item", "name": "default:book_written", "title": title, **where}],
            "nodes": [{"name": "default:chest", "title": title, **where}],
        }
    )
    seen = Observation(
        villager_id="ada", name="Ada", persona="guard", snapshot_time=1.0, around=near, events=()
    )
    masked = Mask({"zoe_99"}, salt="").observation(seen).around
    assert masked is not None
    for title in (masked.things[0].title, masked.nodes[0].title):
        assert "zoe" not in title
        assert title.endswith("'s diary, (an address)")


def test_the_guides_lines_come_in_and_go_out(tmp_path: Path) -> None:
    line = {"player_id": "zoe_99", "context": "zoe_99 to Ada: hi", "reply": "Hello.", "reward": -0.5}
    file = tmp_path / "guide.jsonl"
    file.write_text(json.dumps(line) + "\n")
    (row,) = read_guide(file, "guard")
    assert (row.source, row.reward, row.persona, row.reply) == ("import", -0.5, "guard", "Hello.")
    assert "zoe_99" not in row.model_dump_json()
    file.write_text(guide_lines([row], told=lambda _: ""))
    (again,) = read_guide(file, "guard")
    assert again == row


def test_bad_lines_are_told_all_at_once(tmp_path: Path) -> None:
    file = tmp_path / "guide.jsonl"
    good = {"player_id": "z", "context": "c", "reply": "r", "reward": 1}
    lines = [good, {**good, "reward": 7}, {"player_id": "z"}, good]
    file.write_text("\n".join([*map(json.dumps, lines), "{"]))
    with pytest.raises(ConfigError) as told:
        read_guide(file, "guard")
    assert "line 2: reward" in str(told.value)
    assert "line 3: context" in str(told.value)
    assert "line 5: Invalid JSON" in str(told.value)
    assert "line 1: " not in str(told.value)
