"""The row of an adapter that is swapped again and again while all villagers are kept busy."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.bars import Row, row_of, spread
from bench.people import Villager, meeting, talk, tick
from bench.service import CallFailed, GameClient, Service

SWAP_EVERY_S = 0.2
TALKERS = 2
"""Of the villagers, so many talk; the others decide, and theirs are the times of the row."""


@dataclass
class Load:
    """Seconds that each call took, and what went wrong with others. Threads append to both."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def swap_row(service: Service, villagers: Sequence[Villager], folders: Sequence[Path], seconds: float) -> Row:
    """Decisions without swaps, then with the last villager's adapter swapped between `folders`."""
    with ExitStack() as stack:
        players = [Player(villager, stack.enter_context(service.connect())) for villager in villagers]
        calm = _kept_busy(players, seconds)
        with _swapping(service, villagers[-1].persona, folders) as swaps:
            busy = _kept_busy(players, seconds)
    quiet = spread(calm.seconds)
    failures = [*calm.failures, *busy.failures, *swaps.failures]
    return row_of(
        "swap",
        **spread(busy.seconds),
        calm_ms=quiet["ours_ms"],
        calm_p99_ms=quiet["ours_p99_ms"],
        decisions=len(busy.seconds),
        swaps=len(swaps.seconds),
        swap_ms=spread(swaps.seconds)["ours_ms"],
        failed=len(failures),
    ) | {"failures": sorted(set(failures))[:5]}


class Player:
    """A villager on a connection of its own that asks again as soon as it is answered."""

    def __init__(self, villager: Villager, game: GameClient) -> None:
        self._villager, self._game = villager, game
        game.ask([meeting(villager)])

    def play(self, talks: bool, end: float, load: Load) -> None:
        """At least once, then until `end`."""
        make = talk if talks else tick
        while True:
            try:
                answer = self._game.ask([make(self._villager)])
                if not answer.first:
                    load.failures.append(answer.refused.get(self._villager.id, "nothing was decided"))
                elif not talks:
                    load.seconds += answer.first.values()
            except CallFailed as error:
                load.failures.append(str(error))
            if time.monotonic() > end:
                return


def _kept_busy(players: Sequence[Player], seconds: float) -> Load:
    load, end = Load(), time.monotonic() + seconds
    with ThreadPoolExecutor(len(players)) as pool:
        plays = [
            pool.submit(player.play, number < TALKERS, end, load) for number, player in enumerate(players)
        ]
    for play in plays:
        play.result()
    return load


@contextmanager
def _swapping(service: Service, persona: str, folders: Sequence[Path]) -> Iterator[Load]:
    """Put the adapters of `folders` live in turn, one every SWAP_EVERY_S, until the block ends."""
    swaps, stop = Load(), threading.Event()
    thread = threading.Thread(target=_swap, args=(service, persona, folders, swaps, stop))
    thread.start()
    try:
        yield swaps
    finally:
        stop.set()
        thread.join()


def _swap(
    service: Service, persona: str, folders: Sequence[Path], swaps: Load, stop: threading.Event
) -> None:
    due, number = time.monotonic(), 0
    while not stop.wait(max(0.0, due - time.monotonic())):
        started = time.monotonic()
        try:
            service.load_adapter(persona, folders[number % len(folders)])
            swaps.seconds.append(time.monotonic() - started)
        except CallFailed as error:
            swaps.failures.append(str(error))
        due, number = max(due + SWAP_EVERY_S, started), number + 1
