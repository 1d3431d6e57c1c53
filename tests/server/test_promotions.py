"""Versions go live and are taken back in a village that runs: a real engine, registry and store."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from running import running
from tiny_model import tiny_settings, write_random_adapter
from townsfolk.cli import promote, rollback
from townsfolk.cli.running import ask
from townsfolk.config import HttpSettings, Settings
from townsfolk.engine.adapters import WEIGHTS_FILE
from townsfolk.errors import AdapterError, InvalidRequest, StoreError, UnknownName
from townsfolk.serving import Rooms, Village
from townsfolk.serving.adapters import Served
from townsfolk.types import AdapterVersion, Game, Rating, Turn
from world import ACTIONS

TRIAL = {"trial_turns": 40, "trial_least": 10}
AFTERWARDS = 4e9
"""After any trial's beginning."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = tiny_settings(tmp_path)
    return made.model_copy(update={"promotion": made.promotion.model_copy(update=TRIAL)})


@pytest.fixture
def rooms(settings: Settings) -> Iterator[Rooms]:
    opened = Rooms.open(settings)
    yield opened
    opened.close()


def added(rooms: Rooms, folder: Path, seed: int, persona: str = "explorer") -> str:
    """A version in the registry; its content hash."""
    run = folder / f"run{seed}"
    write_random_adapter(run / "adapter", rooms.engine.model, rooms.engine.base_hash, seed=seed)
    info = rooms.engine.load_adapter(run / "adapter", [folder])
    rooms.engine.unload_adapter(info.content_hash)
    rooms.promotions.registry.add(persona, run, info.content_hash)
    return info.content_hash


def live(rooms: Rooms) -> dict[str, str]:
    return {version.name: version.content_hash for version in rooms.shelf.listing().adapters}


def test_a_promoted_version_outlives_a_restart(rooms: Rooms, settings: Settings, tmp_path: Path) -> None:
    version = added(rooms, tmp_path, 1)
    assert rooms.promotions.promote("explorer", version).trial == version
    assert live(rooms) == {"explorer": version}
    rooms.close()
    again = Rooms.open(settings)
    assert live(again) == {"explorer": version}
    again.store.drain()
    assert again.store.counts()["adapter_changes"] == 1
    again.close()


def test_what_the_registry_keeps_no_more_is_in_the_store(settings: Settings) -> None:
    promotion = settings.promotion.model_copy(update={"keep_changes": 10})
    rooms = Rooms.open(settings.model_copy(update={"promotion": promotion}))
    for number in range(40):
        rooms.promotions.registry.note("explorer", "refused", f"{number:064}", ("worse",))
        if number % 7 == 0:
            rooms.promotions.follow()
    rooms.promotions.follow()
    rooms.store.drain()
    assert len(rooms.promotions.registry.history()) == 10
    assert rooms.store.counts()["adapter_changes"] == 40
    rooms.close()


def test_what_was_promoted_meanwhile_is_followed(rooms: Rooms, tmp_path: Path) -> None:
    version = added(rooms, tmp_path, 1)
    rooms.promotions.registry.promote("explorer", version, 1)
    assert rooms.promotions.look() == ["explorer"]
    assert live(rooms) == {"explorer": version}
    assert rooms.promotions.look() == []


def test_a_store_without_room_keeps_no_persona_from_a_rollback(
    rooms: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(version: AdapterVersion) -> None:
        raise StoreError(f"no room for {version.name}")

    served = {name: added(rooms, tmp_path, seed, name) for seed, name in enumerate(("explorer", "guard"))}
    for name, version in served.items():
        rooms.promotions.registry.promote(name, version, 1)
    monkeypatch.setattr(rooms.store, "record_adapter", no_room)
    assert rooms.promotions.look() == [*served]
    assert live(rooms) == served


def test_a_broken_version_leaves_the_one_before(rooms: Rooms, settings: Settings, tmp_path: Path) -> None:
    good, bad = added(rooms, tmp_path, 1), added(rooms, tmp_path, 2)
    for version in (good, bad):
        rooms.promotions.promote("explorer", version)
        rooms.promotions.registry.confirm("explorer", version)
    file = rooms.promotions.registry.folder_of("explorer", bad) / "adapter" / WEIGHTS_FILE
    file.write_bytes(file.read_bytes()[:-2] + b"\0\1")
    rooms.close()
    again = Rooms.open(settings)
    assert live(again) == {"explorer": good}
    (fault,) = again.shelf.listing().faults
    assert "changed on the disk" in fault.reason
    again.close()


def test_what_cannot_be_served_is_not_promoted(rooms: Rooms, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="add it with"):
        rooms.promotions.promote("explorer", "0" * 64)
    run = tmp_path / "wrong"
    write_random_adapter(run / "adapter", rooms.engine.model, "0" * 64)
    rooms.promotions.registry.add("explorer", run, "1" * 64)
    with pytest.raises(AdapterError, match="base"):
        rooms.promotions.promote("explorer", "1" * 64)
    assert rooms.promotions.registry.history() == ()
    with pytest.raises(InvalidRequest, match="nothing to roll back to"):
        rooms.promotions.rollback("explorer")


def test_a_canary_is_for_a_share_of_the_villagers(rooms: Rooms, tmp_path: Path) -> None:
    one, other = added(rooms, tmp_path, 1), added(rooms, tmp_path, 2)
    rooms.promotions.promote("explorer", one)
    rooms.promotions.registry.confirm("explorer", one)
    rooms.promotions.registry.promote("explorer", other, 0.25)
    rooms.promotions.follow()
    villagers = [f"world/v{n}" for n in range(400)]
    served = [rooms.shelf.hash_of("explorer", who) for who in villagers]
    assert set(served) == {one, other}
    assert 70 < served.count(other) < 130
    assert served == [rooms.shelf.hash_of("explorer", who) for who in villagers]
    assert Served().to("anybody") is None


def rated(rooms: Rooms, version: str, number: int, value: int, at: float = AFTERWARDS) -> None:
    turn = Turn(
        turn_id=f"{version[:8]}-{number}",
        game_id="g",
        villager_id="v",
        persona="explorer",
        adapter_hash=version,
        player="sam",
        context="",
        reply="",
        started_at=at + number,
    )
    rooms.store.record_turn(turn)
    rooms.store.rate(Rating.model_validate({"turn_id": turn.turn_id, "player": "sam", "value": value}))


def test_a_version_that_players_dislike_is_taken_back_by_itself(rooms: Rooms, tmp_path: Path) -> None:
    before, new = added(rooms, tmp_path, 1), added(rooms, tmp_path, 2)
    rooms.promotions.promote("explorer", before)
    rooms.promotions.registry.confirm("explorer", before)
    for number in range(40):
        rated(rooms, before, number, 1 if number % 5 else -1)
    rooms.promotions.promote("explorer", new)
    for number in range(10):
        rated(rooms, new, number, -1)
    rooms.store.drain()
    assert rooms.promotions.look() == ["explorer"]
    assert live(rooms) == {"explorer": before}
    last = rooms.promotions.registry.history()[-1]
    assert (last.kind, last.version) == ("rolled_back", new)
    assert last.reasons[0].startswith("thumbs down: 10 of 10, before it 8 of 40")


def test_a_trial_of_what_cannot_be_served_ends(rooms: Rooms, tmp_path: Path) -> None:
    run, version = tmp_path / "wrong", "1" * 64
    write_random_adapter(run / "adapter", rooms.engine.model, "0" * 64)
    rooms.promotions.registry.add("explorer", run, version)
    rooms.promotions.registry.promote("explorer", version, 0.5)
    rooms.promotions.follow()
    rooms.promotions.look()
    last = rooms.promotions.registry.history()[-1]
    assert (last.kind, last.version) == ("rolled_back", version)
    assert "can't be served" in last.reasons[0]


def test_a_trial_waits_while_memory_is_short(rooms: Rooms, tmp_path: Path) -> None:
    version = added(rooms, tmp_path, 1)
    rooms.promotions.promote("explorer", version)
    assert rooms.shelf.shed() == "explorer"
    assert rooms.promotions.look() == []
    assert rooms.shelf.take_back() == ["explorer"]
    assert live(rooms) == {"explorer": version}
    assert rooms.promotions.registry.record("explorer").trial


def test_a_version_that_players_like_is_confirmed(rooms: Rooms, tmp_path: Path) -> None:
    version = added(rooms, tmp_path, 1)
    rooms.promotions.promote("explorer", version)
    for number in range(40):
        rated(rooms, version, number, 1)
    rooms.store.drain()
    rooms.promotions.look()
    assert rooms.promotions.registry.record("explorer").live == version
    assert rooms.promotions.registry.history()[-1].kind == "confirmed"


def test_a_clock_that_is_set_back_hides_no_turn_of_a_trial(rooms: Rooms, tmp_path: Path) -> None:
    version = added(rooms, tmp_path, 1)
    rooms.promotions.promote("explorer", version)
    for number in range(10):
        rated(rooms, version, number, -1)
    for number in range(10, 40):
        rated(rooms, version, number, 1, at=1e9)
    rooms.store.drain()
    rooms.promotions.look()
    assert rooms.promotions.registry.record("explorer").live == version


def test_what_was_seen_of_an_earlier_trial_does_not_count_in_the_next(rooms: Rooms, tmp_path: Path) -> None:
    version = added(rooms, tmp_path, 1)
    rooms.promotions.promote("explorer", version)
    for number in range(40):
        rated(rooms, version, number, 1, at=1e9)
    rooms.promotions.rollback("explorer")
    rooms.promotions.promote("explorer", version)
    rooms.store.drain()
    rooms.promotions.look()
    assert rooms.promotions.registry.record("explorer").trial


def test_the_commands_ask_the_service_or_wait_for_its_start(
    rooms: Rooms, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = tmp_path / "run", tmp_path / "settings.yaml"
    write_random_adapter(run / "adapter", rooms.engine.model, rooms.engine.base_hash)
    file.write_text(settings.model_copy(update={"http": HttpSettings(port=1)}).model_dump_json())
    promote.promote("explorer", run, config=file)
    assert "from the next start on" in capsys.readouterr().out
    assert live(rooms) == {}
    with running(Village(rooms)) as target:
        promote.promote("explorer", run, url=target.http, config=file, as_json=True)
        version = json.loads(capsys.readouterr().out)["trial"]
        assert live(rooms) == {"explorer": version}
        rollback.rollback("explorer", reason="rude", url=target.http, config=file)
        assert "what is shipped serves" in capsys.readouterr().out
        assert live(rooms) == {}
        with pytest.raises(InvalidRequest, match="nothing to roll back to"):
            rollback.rollback("explorer", reason="", url=target.http, config=file)
    assert rooms.promotions.registry.history()[-1].reasons == ("rude",)


def test_a_port_that_is_not_ours_is_told_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        hangs_up = threading.Thread(target=lambda: server.accept()[0].close())
        hangs_up.start()
        with pytest.raises(InvalidRequest, match="check --url"):
            ask(f"http://127.0.0.1:{server.getsockname()[1]}", Settings(), "/", {})
        hangs_up.join()


class Load:
    """Asks an explorer for replies over HTTP until stopped."""

    def __init__(self, url: str) -> None:
        self.statuses: list[int] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(url,)) for _ in range(3)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, url: str) -> None:
        body = {"persona": "explorer", "context": "hello", "max_len": 12, "max_wait_ms": 60_000}
        with httpx.Client(base_url=url, timeout=60) as http:
            while not self._stop.is_set():
                self.statuses.append(http.post("/v1/infer", json=body).status_code)


def test_under_load_no_request_fails(rooms: Rooms, tmp_path: Path) -> None:
    versions = [added(rooms, tmp_path, seed) for seed in range(3)]
    village = Village(rooms)
    asyncio.run(village.connect(Game(game_id="g", actions=ACTIONS, personas=("explorer",))))
    with (
        running(village) as target,
        httpx.Client(base_url=target.http, timeout=60) as http,
        Load(target.http) as load,
    ):
        for number in range(12):
            version = {"name": "explorer", "version": versions[number % 3]}
            assert http.post("/v1/adapters/promote", json=version).status_code == 200
            if number % 3 == 2:
                told = http.post("/v1/adapters/rollback", json={"name": "explorer"})
                assert told.json() == {"name": "explorer", "live": "", "trial": "", "share": 0.0}
    assert len(load.statuses) >= 3
    assert set(load.statuses) == {200}
    rooms.store.drain()
    assert {row.adapter_hash for row in rooms.store.recent_turns("", "", 999)} <= {*versions, ""}
    assert len(json.loads((tmp_path / "registry" / "registry.json").read_text())["history"]) == 16
