"""A village of 10, 50 and 200 on this machine: what holds, what gets less, and whether memory grows.

scripts/bench load [--quick] [--json FILE] [--villagers 10,50,200] [--minutes 10] [--threads 0] [--model FILE]

The client is open-loop: what happens in the game happens at its time, whether the service has kept up or not,
and is timed from then on, so that a stall shows in the percentiles of all that waited meanwhile. As the mod
does, it has one request under way, at most one a server step.
"""

import argparse
import heapq
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from bench.people import Villager, meeting, talk, tick_with_news
from bench.promises import Row, print_row, print_rows, write_rows
from bench.service import HOST, CallFailed, Service, Wire, serving
from townsfolk.config import EngineSettings
from townsfolk.types import Game, Observation, StepReply, StepRequest
from world import ACTIONS

WIDTH = 150
PERSONAS = ("explorer", "trader", "guard", "builder")
TICK_S, TALK_S = 20.0, 60.0
"""A villager looks round so often (`townsfolk.tick_seconds`), and is spoken to so often."""
STEP_S, WAIT_MS, MOST = 0.09, 50, 64
"""The mod's server step, how long it lets the service wait, and how many villagers it tells of at once."""
STALE_S, REQUEST_S = 12.0, 3.0
"""What is decided later, the mod drops (`townsfolk.stale_after`); a request that takes longer has failed."""
QUICK_S = 20.0
JUDGED_S, FLAT = 600.0, 0.01
"""From so long a run on, memory of the later half may grow by that share an hour; the first is the way up."""


@dataclass(order=True, frozen=True)
class Due:
    """Something that happens to a villager."""

    at: float
    villager: int
    talks: bool


@dataclass
class Figures:
    """What came of it. Times are in seconds from when it happened in the game."""

    happened: int = 0
    decisions: list[float] = field(default_factory=list)
    speeches: list[float] = field(default_factory=list)
    refused: int = 0
    dropped: int = 0
    """Not done in time, and so not done."""
    replaced: int = 0
    """Something newer of the same villager was answered instead."""
    slow_steps: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Moments and megabytes."""

    def row(self, villagers: int, lost: int) -> Row:
        late = sum(seconds > STALE_S for seconds in (*self.decisions, *self.speeches)) + self.slow_steps
        told = f"decisions {_told(self.decisions)}, speech {_told(self.speeches)}, refused {self.refused}, "
        told += f"dropped at the deadline {self.dropped}, "
        told += f"replaced {self.replaced}"
        return Row(f"load_{villagers}", self.happened, self.happened - lost - late, lost, late, note=told)

    def memory_row(self, villagers: int, judged: bool) -> Row:
        """Whether memory stayed flat, by a straight line through the later half."""
        late = np.array(self.memory[len(self.memory) // 2 :])
        growth = np.polyfit(late[:, 0], late[:, 1], 1)[0] * 3_600 / late[:, 1].mean()
        told = f"{late[:, 1].mean():.0f} MB, {growth:+.1%} an hour{'' if judged else ': too short to judge'}"
        return Row(f"memory_{villagers}", int(judged), int(judged and growth <= FLAT), note=told)


class OpenLoop:
    """One game whose villagers' life goes on at its own pace."""

    def __init__(self, service: Service, count: int, chance: random.Random) -> None:
        self._service, self._wire, self._chance = service, Wire(service.port), chance
        self._villagers = [Villager(f"v{n}", PERSONAS[n % len(PERSONAS)]) for n in range(count)]
        self._waiting: dict[str, dict[float, Due]] = {villager.id: {} for villager in self._villagers}
        self._due: list[Due] = []
        self.figures = Figures()
        self._game = Game(game_id="load", actions=ACTIONS)

    def run(self, seconds: float) -> list[Row]:
        """Let them live for so long, wait for the last answers, and say what came of it."""
        self._wire.call("POST", "/v1/games", self._game.model_dump_json())
        for chunk in range(0, len(self._villagers), MOST):
            self._step([meeting(villager) for villager in self._villagers[chunk : chunk + MOST]])
        end = time.monotonic() + seconds
        for number in range(len(self._villagers)):
            self._schedule(number, time.monotonic())
        while (now := time.monotonic()) < end + STALE_S and (now < end or any(self._waiting.values())):
            self._step([self._observed(due) for due in self._happened(now, end)])
            time.sleep(max(0, now + STEP_S - time.monotonic()))
        count, lost = len(self._villagers), sum(map(len, self._waiting.values()))
        return [self.figures.row(count, lost), self.figures.memory_row(count, seconds >= JUDGED_S)]

    def close(self) -> None:
        self._wire.close()

    def _schedule(self, number: int, now: float) -> None:
        """Each begins somewhere in its round, else all would look round at once for ever."""
        for every, talks in ((TICK_S, False), (TALK_S, True)):
            heapq.heappush(self._due, Due(now + self._chance.uniform(0, every), number, talks))

    def _happened(self, now: float, end: float) -> Iterator[Due]:
        """What is due by now, at most one thing of a villager and `MOST` in all; what follows is planned."""
        later: list[Due] = []
        told: set[int] = set()
        while self._due and self._due[0].at <= min(now, end) and len(told) < MOST:
            due = heapq.heappop(self._due)
            if due.villager in told:
                later.append(due)
                continue
            told.add(due.villager)
            heapq.heappush(
                self._due, Due(due.at + (TALK_S if due.talks else TICK_S), due.villager, due.talks)
            )
            yield due
        for due in later:
            heapq.heappush(self._due, due)

    def _observed(self, due: Due) -> Observation:
        villager = self._villagers[due.villager]
        seen = talk(villager) if due.talks else tick_with_news(villager)
        self._waiting[villager.id][seen.snapshot_time] = due
        self.figures.happened += 1
        return seen

    def _step(self, observations: Sequence[Observation]) -> None:
        request = StepRequest(
            game_id=self._game.game_id, observations=tuple(observations), max_wait_ms=WAIT_MS
        )
        started = time.monotonic()
        reply = StepReply.model_validate_json(
            self._wire.call("POST", "/v1/step", request.model_dump_json(exclude_defaults=True))
        )
        now = time.monotonic()
        self.figures.slow_steps += now - started > REQUEST_S
        self.figures.memory.append((now, self._service.rss_mb()))
        self._note(reply, now)

    def _note(self, reply: StepReply, now: float) -> None:
        for decision in reply.decisions:
            waiting = self._waiting[decision.villager_id]
            if decision.part == 0 and (due := waiting.get(decision.snapshot_time)):
                (self.figures.speeches if due.talks else self.figures.decisions).append(now - due.at)
            if decision.done:
                self.figures.replaced += max(0, self._over(waiting, decision.snapshot_time) - 1)
        for refusal in reply.refused:
            over = self._over(self._waiting[refusal.villager_id], float("inf"))
            if refusal.code == "late":
                self.figures.dropped += over
            else:
                self.figures.refused += over

    def _over(self, waiting: dict[float, Due], upto: float) -> int:
        """Nothing more comes of what the villager saw up to then; how much that was."""
        over = [seen for seen in waiting if seen <= upto]
        for seen in over:
            del waiting[seen]
        return len(over)


def main(arguments: Sequence[str]) -> int:
    """Two rows for each size, then all of them; 0 where every promise was kept."""
    values = _parse(arguments)
    console, rows = Console(width=WIDTH), list[Row]()
    for count in values.villagers:
        for row in _measured(count, values):
            rows.append(row)
            print_row(console, row)
    print_rows(console, "load", rows)
    if values.json:
        write_rows(values.json, rows)
    return 0 if all(row.kept for row in rows) else 1


def _measured(count: int, values: argparse.Namespace) -> list[Row]:
    settings = {
        "ENGINE__MODEL": str(values.model),
        "ENGINE__THREADS": str(values.threads),
        "LIMITS__PLAYER_CALLS_PER_MINUTE": "100000",  # one player speaks for many
        "HTTP__HOST": HOST,
    }
    with (
        tempfile.TemporaryDirectory(prefix="townsfolk-load-") as home,
        serving(Path(home), settings) as service,
        closing(OpenLoop(service, count, random.Random(count))) as game,
    ):
        return game.run(values.seconds)


def _told(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    median, high, highest = np.percentile(seconds, (50, 99, 100))
    return f"{len(seconds)} in {median:.2f} s (99 % {high:.2f}, all {highest:.2f})"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench load")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_S:g} s each")
    parser.add_argument("--villagers", default="10,50,200", help="sizes of the village")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each size")
    parser.add_argument("--threads", type=int, default=0, help="of the engine; 0: as it chooses")
    parser.add_argument("--model", type=Path, default=EngineSettings().model)
    values = parser.parse_args(arguments)
    values.villagers = [int(count) for count in values.villagers.split(",")]
    values.seconds = QUICK_S if values.quick else 60 * values.minutes
    return values


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CallFailed as error:
        sys.exit(f"error: {error}")
