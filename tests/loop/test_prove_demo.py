"""The proof of demonstrations, small: what was shown is learnt by a tiny model, served and done unasked."""

from pathlib import Path

import httpx
import pytest
from demonstrations import BLOCKS, OTHER_ITEM, drawn, in_row
from prove_demo import LEAVE, as_shown, proven, without_blocks, write_builder
from typer.testing import CliRunner
from villages import post

from running import running
from tiny_model import tiny_settings, write_random_adapter
from townsfolk.cli import app
from townsfolk.config import Settings
from townsfolk.engine import open_model
from townsfolk.personas import PersonaLibrary
from townsfolk.serving import Rooms, Village
from townsfolk.serving.harvest import DEMOS, harvest
from townsfolk.training.data import read_actions
from townsfolk.types import (
    DemoBatch,
    DemoStep,
    Event,
    EventKind,
    Game,
    Node,
    Observation,
    Position,
    SelfState,
    Stack,
    Surroundings,
)

pytest.importorskip("torch", reason="needs the train extra")
DATA = Path(__file__).parents[2] / "data"
COUNT = 4


def steps(player: str, block: str) -> list[DemoStep]:
    """A row of blocks as the mod tells of it; one is left over."""
    done = [action for _ in range(COUNT) for action in (f"place {block}", "move_east")]
    told = []
    for number, action in enumerate(done):
        before = [Event(kind=EventKind.ARRIVED, at=number, text=done[number - 1])] if number else []
        near = [Node(name=block, distance=3, direction="west")] if number > 1 else []
        left = Stack(name=block, count=COUNT - (number + 1) // 2 + 1)
        seen = Observation(
            villager_id=f"player:{player}",
            name=player,
            persona="builder",
            snapshot_time=number,
            me=SelfState(position=Position(x=0, y=9, z=0), hp=20, inventory=(left,)),
            around=Surroundings(nodes=tuple(near)),
            events=(*before, Event(kind=EventKind.TICK, at=number)),
        )
        told.append(DemoStep(number=number, action=action, place=Position(x=0, y=0, z=0), observation=seen))
    return told


def recorded(settings: Settings) -> None:
    rooms = Rooms.open(settings)
    for player, block in zip(("ann", "ben", "cleo", "dan"), BLOCKS, strict=True):
        batch = DemoBatch(
            game_id="g", demo_id=player, name="row", player=player, steps=tuple(steps(player, block))
        )
        rooms.store.demonstrate(batch)
    rooms.store.drain()
    rooms.close()


def command(*words: str) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output


def share_done(settings: Settings, home: Path, adapter: Path) -> float:
    """Of the steps recorded, how many a builder with this adapter takes of itself."""
    personas = write_builder(home / "personas", adapter)
    rooms = Rooms.open(settings.model_copy(update={"personas_dirs": (personas,)}))
    with running(Village(rooms)) as target, httpx.Client(base_url=target.http, timeout=120) as http:
        game = Game(game_id="proof", actions=read_actions(DATA / "names"))
        post(http, "/v1/games", game.model_dump(mode="json"))
        found = as_shown(http, harvest([DEMOS], settings.store.url))
    rooms.close()
    return float(found["share"])


def test_what_was_shown_is_done_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings, config = tiny_settings(tmp_path), tmp_path / "settings.yaml"
    config.write_text(settings.model_dump_json())
    recorded(settings)
    dataset, run = tmp_path / "dataset", tmp_path / "run"
    where = ("--config", str(config))
    command("data", "build", str(dataset), "--from", DEMOS, "--data", str(DATA), *where)
    recipe = {
        "dataset": dataset,
        "output_dir": run,
        "model": settings.engine.model,
        "parent": "",
        "max_steps": 60,
        "lr": 1e-2,
        "threads": 1,
        "device": "cpu",
    }
    told = [f"--{key}={value}" for key, value in recipe.items()]
    command("train", "bc", "configs/bc-builder.yaml", *told, *where)
    model = open_model(settings.engine.model)
    untuned = write_random_adapter(tmp_path / "untuned" / "adapter", model.params, model.base_hash, scale=0.1)
    assert share_done(settings, tmp_path / "before", untuned) < 0.5
    assert share_done(settings, tmp_path / "after", run / "adapter") > 0.7


def test_the_same_scenes_without_blocks_are_for_strolling(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path)
    recorded(settings)
    rows = list(without_blocks(harvest([DEMOS], settings.store.url)))
    assert len(rows) == 4 * COUNT
    assert {row.reply for row in rows} == {"[[ACTION:wander]]"}
    carried = {stack.name for row in rows for stack in row.observation.me.inventory}  # type: ignore[union-attr]
    assert carried == {OTHER_ITEM}


def test_a_builder_with_leave_is_the_shipped_one_but_for_that(tmp_path: Path) -> None:
    shipped = PersonaLibrary.read().get("builder")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    allowed = PersonaLibrary.read([write_builder(tmp_path / "personas", adapter)]).get("builder")
    assert allowed.unasked.tick == (*shipped.unasked.tick, *LEAVE)
    assert allowed.model_copy(update={"unasked": shipped.unasked}) == shipped


def test_no_two_demonstrations_are_alike() -> None:
    demos = drawn([*"abcdefgh"], BLOCKS, seed=1)
    assert {demo.block for demo in demos} == {*BLOCKS}
    assert len({(demo.east, demo.count, demo.beside) for demo in demos}) == len(demos)
    assert demos == drawn([*"abcdefgh"], BLOCKS, seed=1)


@pytest.mark.parametrize(
    ("blocks", "length"),
    [
        ([], 0),
        ([(2, 9, 0), (6, 9, 1), (11, 9, 0), (15, 9, -2)], 4),
        ([(0, 9, 0), (1, 9, 0), (2, 9, 0), (2, 9, 2), (0, 9, 2)], 1),
        ([(0, 9, 0), (4, 9, 0), (4, 9, 6), (30, 9, 0), (34, 9, 0)], 2),
    ],
)
def test_a_row_is_what_goes_on_eastwards(blocks: list[tuple[int, int, int]], length: int) -> None:
    assert in_row(blocks) == length


def test_heaping_up_blocks_is_no_proof() -> None:
    def found(share: float, row: int, action: float = 0.9) -> dict[str, object]:
        answers = {"held_out": {"action": action}}
        return {"steps": {"share": share}, "strolls": {"share": 0.9}, "in_row": row, "answers": answers}

    others = {"shipped": found(0.0, 0), "allowed": found(0.5, 2)}
    assert proven({**others, "tuned": found(0.9, 7)})
    assert not proven({**others, "tuned": found(0.7, 7)})
    assert not proven({**others, "tuned": found(0.9, 3)})
    assert not proven({**others, "tuned": found(0.9, 7, action=0.8)})
    assert not proven({**others, "allowed": found(0.8, 2), "tuned": found(0.9, 7)})
