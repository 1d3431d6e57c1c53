"""kill -9 at random moments while games play, adapters are swapped and versions are promoted: `bench.chaos`.

After each kill the registry has to be whole and every version in it what its name says; the service has to
start again; what was acknowledged has to be in the database, once.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx

from bench.chaos.service import PROCESSES, Place, ServiceProcess
from bench.chaos.traffic import Books, Traffic
from bench.promises import Row
from tiny_model import write_random_adapter
from townsfolk.disk import INCOMING
from townsfolk.engine.adapters import read_adapter
from townsfolk.engine.model import Model, open_model
from townsfolk.errors import AdapterError
from townsfolk.promotion.registry import ADAPTER, SHORT, Record, Registry
from townsfolk.types import LoadAdapter, PromoteAdapter, RollbackAdapter

PERSONA = "explorer"
LIFE_S = 1.0
"""The longest that a service lives after it began to start, or has served a turn."""
CALL_S, TURN_S = 5.0, 60.0
Chore = Callable[[Place, int], None]
"""What another process does for ever, until it is killed as well; the number makes its names its own."""


def killed_serving(folder: Path, rounds: int, chance: random.Random) -> Row:
    """While games play."""
    return _killed("killed_serving", folder, rounds, chance, None)


def killed_swap(folder: Path, rounds: int, chance: random.Random) -> Row:
    """While adapters are loaded and unloaded."""
    return _killed("killed_swap", folder, rounds, chance, swap_for_ever)


def killed_promotion(folder: Path, rounds: int, chance: random.Random) -> Row:
    """While versions are added, promoted and rolled back; who does that is killed, too."""
    return _killed("killed_promotion", folder, rounds, chance, promote_for_ever)


def _killed(name: str, folder: Path, rounds: int, chance: random.Random, chore: Chore | None) -> Row:
    place = Place.make(folder)
    model, service = open_model(place.home / "tiny.gguf"), ServiceProcess(place)
    survived = 0
    with Traffic(place.http).playing() as books:
        for number in range(rounds):
            service.start()
            if chance.random() < 0.5:  # else it is killed in the midst of its start
                service.await_ready()
                _await_turn(books)
            survived += _lives_and_dies(service, chance, chore, number) and registry_is_whole(place, model)
        service.start()
        service.await_ready()
        survived -= not _serves_what_is_live(place)
        service.kill()
    return Row(
        name, rounds, survived, books.lost(place.store_settings), note=f"{len(books.rated)} turns rated"
    )


def _lives_and_dies(service: ServiceProcess, chance: random.Random, chore: Chore | None, number: int) -> bool:
    """Whether it lived until it was killed."""
    worker = PROCESSES.Process(target=chore, args=(service.place, number), daemon=True) if chore else None
    if worker:
        worker.start()
    time.sleep(chance.uniform(0, LIFE_S))
    lived = service.alive
    if worker:
        worker.kill()
        worker.join()
    service.kill()
    return lived


def _await_turn(books: Books) -> None:
    before, deadline = books.turns, time.monotonic() + TURN_S
    while books.turns == before and time.monotonic() < deadline:
        time.sleep(0.01)


# --- chores -------------------------------------------------------------------------------------


def swap_for_ever(place: Place, number: int) -> None:
    """Load one adapter after the other, and none."""
    written = _adapters(place.home / "adapters", place, number)
    with _client(place) as http:
        for folder, _ in written:
            request = LoadAdapter(name=PERSONA, path=str(folder))
            with suppress(httpx.HTTPError):
                http.post("/v1/adapters", content=request.model_dump_json())
                http.delete(f"/v1/adapters/{PERSONA}")


def promote_for_ever(place: Place, number: int) -> None:
    """Add a version, promote it; roll back every third."""
    registry = Registry(place.home / "registry")
    with _client(place) as http:
        for count, (folder, version) in enumerate(_adapters(place.home / "runs", place, number)):
            registry.add(PERSONA, folder.parent, version)
            promote = PromoteAdapter(name=PERSONA, version=version)
            with suppress(httpx.HTTPError):
                http.post("/v1/adapters/promote", content=promote.model_dump_json())
                if count % 3 == 2:
                    back = RollbackAdapter(name=PERSONA, reason="chaos")
                    http.post("/v1/adapters/rollback", content=back.model_dump_json())


def _adapters(folder: Path, place: Place, number: int) -> Iterator[tuple[Path, str]]:
    """New adapters without end, each with its content hash."""
    model = open_model(place.home / "tiny.gguf")
    base = (model.params, model.base_hash)
    for count in itertools.count():
        written = folder / f"{number}-{count}" / ADAPTER
        write_random_adapter(written, *base, seed=number * 10_000 + count)
        yield written, read_adapter(written, [folder], *base).content_hash


def _client(place: Place) -> httpx.Client:
    return httpx.Client(base_url=place.http, timeout=CALL_S, headers={"Content-Type": "application/json"})


# --- what has to hold ---------------------------------------------------------------------------


def registry_is_whole(place: Place, model: Model) -> bool:
    """Whether it can be read, names versions that are there, and each of those is what its name says."""
    registry = Registry(place.home / "registry")
    try:
        record = registry.record(PERSONA)
    except AdapterError:
        return False
    named = {version[:SHORT] for version in (*_served(record), *record.earlier) if version}
    folders = registry.folder / PERSONA
    there = [path for path in folders.glob("*") if not path.name.startswith(INCOMING)]
    return named <= {path.name for path in there} and all(_is_named_well(path, model) for path in there)


def _is_named_well(version: Path, model: Model) -> bool:
    try:
        read = read_adapter(version / ADAPTER, [version], model.params, model.base_hash)
    except AdapterError:
        return False
    return read.content_hash[:SHORT] == version.name


def _serves_what_is_live(place: Place) -> bool:
    with _client(place) as http:
        listed = http.get("/v1/adapters").json()["adapters"]
    served = {own["content_hash"] for own in listed if own["name"] == PERSONA}
    return served == _served(Registry(place.home / "registry").record(PERSONA))


def _served(record: Record) -> set[str]:
    """What is live, and what is on trial: the process was killed between the two."""
    return {version for version in (record.live, record.trial.version if record.trial else "") if version}
