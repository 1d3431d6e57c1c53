"""Memory runs short: adapters go first, then cached sequences, then turns are refused; and all comes back."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from bench.chaos.service import Place, ServiceProcess

from tiny_model import tiny_settings, write_random_adapter
from townsfolk.engine import GenerationRequest
from townsfolk.errors import Busy
from townsfolk.promotion.registry import ADAPTER
from townsfolk.serving import Rooms
from townsfolk.serving.memory import MemoryGuard
from townsfolk.types import InferRequest

LIMIT_MB = 100


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    opened = Rooms.open(tiny_settings(tmp_path))
    while not opened.readiness()[0]:
        time.sleep(0.01)
    yield opened
    opened.close()


def serve(rooms: Rooms, folder: Path, persona: str, seed: int) -> str:
    """A version of the registry goes live; its content hash."""
    run = folder / f"run{seed}"
    write_random_adapter(run / ADAPTER, rooms.engine.model, rooms.engine.base_hash, seed=seed)
    info = rooms.engine.load_adapter(run / ADAPTER, [folder])
    rooms.engine.unload_adapter(info.content_hash)
    rooms.promotions.registry.add(persona, run, info.content_hash)
    rooms.promotions.promote(persona, info.content_hash)
    return info.content_hash


def guard(rooms: Rooms, *megabytes: float) -> MemoryGuard:
    """One that measures these, one after the other, and the last again and again."""
    left = list(megabytes)

    def used() -> float:
        return left.pop(0) if len(left) > 1 else left[0]

    return MemoryGuard(LIMIT_MB, rooms.engine, rooms.shelf, used)


def live(rooms: Rooms) -> dict[str, str]:
    return {version.name: version.content_hash for version in rooms.shelf.listing().adapters}


def ask(rooms: Rooms) -> None:
    rooms.engine.generate(GenerationRequest(sequence_id="s", prompt=[5, 6, 7], max_tokens=1))


def test_what_costs_least_goes_first(rooms: Rooms, tmp_path: Path) -> None:
    served = {name: serve(rooms, tmp_path, name, seed) for seed, name in enumerate(("explorer", "guard"))}
    ask(rooms)
    assert guard(rooms, 80).look() == []
    assert live(rooms) == served
    one_is_enough = guard(rooms, 90, 80)
    assert one_is_enough.look() == ["explorer"]
    assert live(rooms) == {"guard": served["guard"]}
    assert rooms.engine.stats().kv_used > 0
    all_of_them = guard(rooms, 94)
    assert all_of_them.look() == ["guard"]
    assert live(rooms) == {}
    assert rooms.engine.stats().kv_used == 0
    ask(rooms)


def test_what_was_loaded_by_hand_comes_back_from_where_it_was(rooms: Rooms, tmp_path: Path) -> None:
    served = {"explorer": serve(rooms, tmp_path, "explorer", 1)}
    for seed, name in enumerate(("guard", "trader"), start=2):
        folder = write_random_adapter(
            tmp_path / "adapters" / name, rooms.engine.model, rooms.engine.base_hash, seed=seed
        )
        served[name] = rooms.shelf.load(name, folder).content_hash
    tight = guard(rooms, 94, 94, 94, 94, 60)
    assert tight.look() == ["explorer", "guard", "trader"]
    assert live(rooms) == {}
    rooms.shelf.unload("trader")  # as an operator may, while its adapter is away
    assert tight.look() == ["explorer", "guard"]
    assert live(rooms) == {name: served[name] for name in ("explorer", "guard")}


def test_what_has_changed_meanwhile_does_not_come_back(rooms: Rooms, tmp_path: Path) -> None:
    folder = tmp_path / "adapters" / "guard"
    write_random_adapter(folder, rooms.engine.model, rooms.engine.base_hash, seed=1)
    rooms.shelf.load("guard", folder)
    tight = guard(rooms, 94, 60)
    tight.look()
    write_random_adapter(folder, rooms.engine.model, rooms.engine.base_hash, seed=2)
    assert tight.look() == ["guard"]
    assert live(rooms) == {}
    assert "it was changed on the disk" in rooms.shelf.listing().faults[0].reason


def test_what_the_cache_held_goes_back_to_the_system(rooms: Rooms) -> None:
    for number in range(4):
        prompt = [5 + number, *[7] * 4_000]
        rooms.engine.generate(GenerationRequest(sequence_id=str(number), prompt=prompt, max_tokens=1))
    full = psutil.Process().memory_info().rss
    rooms.engine.shed_cache()
    assert full - psutil.Process().memory_info().rss > 3e6  # 16,000 tokens of 256 bytes
    ask(rooms)


def test_what_is_freed_goes_back_without_a_limit_too(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("townsfolk.serving.memory.GIVE_BACK_S", 0.01)
    pieces = [bytearray(b"x") * 2_000 for _ in range(20_000)]
    pieces = pieces[::10]  # a tenth stays, all over the place
    full = psutil.Process().memory_info().rss
    watching = MemoryGuard(0, rooms.engine, rooms.shelf).watch(lambda _name: None)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(watching, 0.5))
    assert full - psutil.Process().memory_info().rss > len(pieces) * 2_000 * 5


def test_turns_are_refused_last_and_all_comes_back(rooms: Rooms, tmp_path: Path) -> None:
    version = serve(rooms, tmp_path, "explorer", 1)
    tight = guard(rooms, 99, 99, 99, 60)
    assert tight.look() == ["explorer"]
    with pytest.raises(Busy, match=r"99% of the memory it may \(memory_limit_mb, 100\).*raise the limit"):
        ask(rooms)
    with pytest.raises(Busy, match="memory_limit_mb"):
        rooms.engine.load_adapter(tmp_path, [tmp_path])
    assert tight.look() == ["explorer"]
    assert live(rooms) == {"explorer": version}
    ask(rooms)


def test_the_process_refuses_and_lives(tmp_path: Path) -> None:
    """A limit that no Python can keep: each turn is refused with the remedy, and the service goes on."""
    place = Place.make(tmp_path)
    service = ServiceProcess(place, memory_limit_mb=20)
    service.start()
    try:
        service.await_ready()
        body = InferRequest(persona="explorer", context="hello").model_dump_json()
        with httpx.Client(base_url=place.http, headers={"Content-Type": "application/json"}) as http:
            while (answer := http.post("/v1/infer", content=body, timeout=60)).is_success:
                pass
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert int(answer.headers["Retry-After"]) > 0
            assert "memory_limit_mb" in answer.json()["error"]["message"]
            assert http.get("/healthz").is_success
        assert service.alive
    finally:
        service.kill()
