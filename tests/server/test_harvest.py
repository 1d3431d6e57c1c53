"""From a real store to a dataset: play is collected without names; who is forgotten is in no later one."""

import json
from pathlib import Path

import pytest
from store_writer import keep_all_of, settings_in, turn_of
from typer.testing import CliRunner

from townsfolk.cli import app
from townsfolk.errors import ConfigError
from townsfolk.feedback.store import Store
from townsfolk.serving.harvest import harvest
from townsfolk.training.data import read_names
from townsfolk.training.data.dataset import Recipe, build_dataset
from townsfolk.training.data.rows import as_line, read_rows, write_new
from townsfolk.types import ForgetPlayer, LogEntry, Rating

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a store with all there can be of zoe and kim, and one turn of kim's with nothing but a sign."""
    store = Store.open(settings_in(tmp_path))
    for player in ("zoe", "kim"):
        keep_all_of(store, player)
    store.record_turn(turn_of("kim").model_copy(update={"turn_id": "sign", "reply": "Good day to you."}))
    store.record_turn(turn_of("kim").model_copy(update={"turn_id": "nothing"}))
    store.log(LogEntry(game_id="g", player="kim", kind="left", turn_id="sign"))
    store.close()
    return settings_in(tmp_path).url


def test_what_was_judged_is_collected_by_player(url: str) -> None:
    rows = {row.id: row for row in harvest(("turns", "demos"), url)}
    assert set(rows) == {"turn/of-zoe", "turn/of-kim", "turn/sign", "demo/zoe/0", "demo/kim/0"}
    assert (rows["turn/of-kim"].reward, rows["turn/sign"].reward) == (1.0, -0.5)
    assert rows["turn/of-kim"].group == rows["turn/sign"].group == rows["demo/kim/0"].group
    assert rows["turn/of-kim"].group != rows["turn/of-zoe"].group
    assert not any("kim" in row.model_dump_json(exclude={"id"}) for row in rows.values())


def test_who_is_forgotten_is_in_no_later_dataset(url: str, tmp_path: Path) -> None:
    write_new(tmp_path / "rows.jsonl", map(as_line, harvest(("turns",), url)))
    store = Store.open(settings_in(tmp_path))
    store.forget(ForgetPlayer(game_id="g", player="kim"))
    store.record_turn(turn_of("kim").model_copy(update={"turn_id": "afterwards"}))
    store.log(LogEntry(game_id="g", player="kim", kind="stayed", turn_id="afterwards"))
    store.close()
    for sources in (("turns", "demos"), (str(tmp_path / "rows.jsonl"),)):
        assert {row.id.rpartition("-")[2] for row in harvest(sources, url)} <= {"zoe", "demo/zoe/0"}
    rows = harvest((str(tmp_path / "rows.jsonl"),), url)
    build_dataset({}, read_names(DATA / "names"), Recipe(sources=("rows",)), tmp_path / "set", rows)
    found = [
        row.id for side in ("train", "held_out") for row in read_rows(tmp_path / "set" / f"{side}.jsonl")
    ]
    assert found == ["turn/of-zoe"]


def test_who_is_forgotten_in_a_game_is_left_out_of_what_was_imported_for_it(url: str, tmp_path: Path) -> None:
    lines = [
        {"player_id": who, "context": f"{who} to Ada: hi", "reply": f"{n}.", "reward": 1}
        for n, who in enumerate(("kim", "zoe"))
    ]
    guide, rows = tmp_path / "guide.jsonl", tmp_path / "imported.jsonl"
    guide.write_text("\n".join(map(json.dumps, lines)))
    told = ["data", "import", str(guide), str(rows), "--persona", "guard", "--game", "g"]
    assert CliRunner().invoke(app, told, catch_exceptions=False).exit_code == 0
    store = Store.open(settings_in(tmp_path))
    store.forget(ForgetPlayer(game_id="g", player="kim"))
    store.close()
    assert [row.reply for row in harvest((str(rows),), url)] == ["1."]


def test_who_is_forgotten_is_not_named_by_others(url: str, tmp_path: Path) -> None:
    store = Store.open(settings_in(tmp_path))
    lines = {"turn_id": "gossip", "context": "Near: a tree.\nzoe to Ada: who?", "reply": "kim-2 and kim."}
    store.record_turn(turn_of("zoe").model_copy(update=lines))
    store.rate(Rating(turn_id="gossip", player="zoe", value=1))
    store.forget(ForgetPlayer(game_id="g", player="kim"))
    store.close()
    (reply,) = (row.reply for row in harvest(("turns",), url) if row.id == "turn/gossip")
    assert reply.startswith("kim-2 and ")
    assert not reply.endswith("kim.")


def test_an_unknown_source_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="tunrs is no source"):
        harvest(("tunrs",), url)


def test_the_commands(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_STORE__URL", url)
    rows, dataset = str(tmp_path / "rows.jsonl"), str(tmp_path / "set")

    def run(*words: str) -> dict[str, object]:
        done = CliRunner().invoke(app, ["data", *words, "--json"])
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    assert run("collect", rows)["sources"] == {"turn": 3, "demo": 2}
    assert CliRunner().invoke(app, ["data", "collect", rows]).exit_code != 0  # never overwritten
    told = run("build", dataset, "--from", f"turns,{rows}", "--data", str(DATA))
    assert told["recipe"] == {"seed": 0, "variants": 4, "sources": ["turns", rows]}
    assert run("inspect", dataset)["sources"]
