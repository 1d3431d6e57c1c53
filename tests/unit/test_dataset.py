"""From exchanges to a dataset: the same for the same seed, nothing on both sides of the split."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from townsfolk.cli import app
from townsfolk.errors import ConfigError
from townsfolk.training.data import Exchange, read_exchanges, read_names
from townsfolk.training.data.dataset import NearCopies, Recipe, build_dataset, groups
from townsfolk.training.data.names import Names
from townsfolk.training.data.rows import read_manifest, read_rows, write_rows
from townsfolk.types import words

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def names() -> Names:
    return read_names(DATA / "names")


@pytest.fixture(scope="module")
def exchanges() -> dict[str, list[Exchange]]:
    return {"explorer": read_exchanges(DATA / "dialogue" / "explorer.yaml")[:120]}


def said(text: str, reply: str) -> Exchange:
    return Exchange(said=text, reply=reply, topic="odd")


def test_near_copies_share_a_group() -> None:
    bend = said("where is the old mill by the river", "Past the hill, where the path bends twice.")
    copy = said("where is that old mill by the river", "Past the hill, where the path bends twice.")
    other = said("is there a mill", "Ask me tomorrow.")
    found = groups({"explorer": [bend, copy, other]})["explorer"]
    assert found[0] == found[1] != found[2]


def test_personas_that_are_asked_the_same_share_a_group() -> None:
    """An adapter may go on from one that learnt of all personas."""
    found = groups(
        {
            "guard": [said("come here", "Here I am."), said("go away", "No.")],
            "explorer": [said("Come here!", "On my way, whatever it is.")],
        }
    )
    assert found["guard"][0] == found["explorer"][0] != found["guard"][1]


def test_the_same_seed_gives_the_same_dataset(
    tmp_path: Path, exchanges: dict[str, list[Exchange]], names: Names
) -> None:
    one, two = (build_dataset(exchanges, names, Recipe(seed=3), tmp_path / name) for name in ("a", "b"))
    other = build_dataset(exchanges, names, Recipe(seed=4), tmp_path / "c")
    assert one == two == read_manifest(tmp_path / "a")
    assert one["hash"] != other["hash"]


def test_no_group_is_on_both_sides(
    tmp_path: Path, exchanges: dict[str, list[Exchange]], names: Names
) -> None:
    build_dataset(exchanges, names, Recipe(), tmp_path)
    train, held_out = (list(read_rows(tmp_path / name)) for name in ("train.jsonl", "held_out.jsonl"))
    assert not {row.group for row in train} & {row.group for row in held_out}
    assert len(train) > 3 * (len(exchanges["explorer"]) - len(held_out))
    assert 0.02 < len(held_out) / len(exchanges["explorer"]) < 0.25
    assert len({row.id for row in train}) == len(train)
    assert not any("{" in row.reply for row in (*train, *held_out))


def test_no_held_out_row_of_the_shipped_data_was_learnt_in_other_words_or_the_same(tmp_path: Path) -> None:
    """Orders and exchanges are grouped apart from each other; both say "wave!"."""
    CliRunner().invoke(
        app, ["data", "build", str(tmp_path / "all"), "--variants", "1"], catch_exceptions=False
    )
    train, held_out = (list(read_rows(tmp_path / "all" / name)) for name in ("train.jsonl", "held_out.jsonl"))
    asked, learnt = {tuple(words(row.heard())) for row in train}, NearCopies()
    for row in train:
        learnt.add(row.persona, row.gist())
    heard = [tuple(words(row.heard())) for row in held_out]
    assert not {*filter(None, heard)} & asked
    assert not any(learnt.of(row.persona, row.gist()) for row in held_out)


def test_what_is_remembered_stays_and_a_blow_is_answered_by_the_tag_alone(
    tmp_path: Path, names: Names
) -> None:
    told = Exchange(said="remember me?", remembers="gave you bread", reply="I do.", topic="memory")
    blow = Exchange(punched=True, act="flee", reply="Ouch!", topic="rude")
    build_dataset({"explorer": [told, blow]}, names, Recipe(variants=1), tmp_path)
    rows = [row for file in ("train.jsonl", "held_out.jsonl") for row in read_rows(tmp_path / file)]
    assert {(row.remembers, row.reply) for row in rows} == {
        ("gave you bread", "I do."),
        ("", "[[ACTION:flee]]"),
    }


def test_who_speaks_is_nobody_else_in_the_scene(tmp_path: Path, names: Names) -> None:
    meeting = Exchange(
        said="where is tom?",
        near={"player mia": "3 north", "villager Greta": "2 east"},
        reply="Away.",
        topic="odd",
    )
    build_dataset({"explorer": [meeting]}, names, Recipe(variants=64), tmp_path)
    rows = [row for file in ("train.jsonl", "held_out.jsonl") for row in read_rows(tmp_path / file)]
    observations = [row.observation for row in rows if row.observation]
    speakers = {event.who for observation in observations for event in observation.events}
    assert speakers
    assert not speakers & {"tom", "mia"}
    assert "Greta" not in {observation.name for observation in observations}


def test_a_dataset_is_never_overwritten(tmp_path: Path, names: Names) -> None:
    (tmp_path / "kept").touch()
    with pytest.raises(ConfigError, match="give a new folder"):
        build_dataset({}, names, Recipe(), tmp_path)


def test_a_broken_line_is_named(tmp_path: Path, exchanges: dict[str, list[Exchange]], names: Names) -> None:
    build_dataset(exchanges, names, Recipe(), tmp_path / "data")
    rows = list(read_rows(tmp_path / "data" / "train.jsonl"))[:2]
    file = tmp_path / "rows.jsonl"
    write_rows(file, rows)
    assert list(read_rows(file)) == rows
    file.write_text(file.read_text() + '{"id": "x"}\n')
    with pytest.raises(ConfigError, match="line 3: persona: Field required"):
        list(read_rows(file))
