"""The selftest: a real player walks through the village and sees whether all of it works.

Knows what a visitor does and what must come of it; knows nothing of how a village is run.
"""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from rich.console import Console

from townsfolk.demo.player import Player
from townsfolk.demo.report import Check, Line, Reply, Report, Sight, print_check, print_line
from townsfolk.demo.stored import count_rows
from townsfolk.demo.village import HOST, Village, VillagerStatus
from townsfolk.errors import LaunchError, TownsfolkError
from townsfolk.types import Position

VISITOR = "sam"
VILLAGERS = ("Wren", "Odo", "Brita", "Tam")
PERSONAS = ("explorer", "trader", "guard", "builder")
ANSWER_SECONDS = 20
FOLLOW_SECONDS = 30
SCRIPT_SECONDS = 3
RECONNECT_SECONDS = 30
STORE_SECONDS = 5
TALKING_DISTANCE = 3
FAR = 12
NEAR = 5
MAX_LAG_SECONDS = 0.2
READING_SECONDS = 1
NEWCOMERS = ("Ada", "Bo", "Cleo", "Dov", "Eli", "Fay")
MAX_MEMORY_MB = 1_100
CROWD_SECONDS = 60
MIDDLE_Z = -4
"""On the street, with all four villagers' places within hearing."""
POLL_SECONDS = 0.05
NO_WORDS = "I can't find words"
"""What a villager says by script where its mind gave no answer."""
CUT = "…"
"""How a reply ends that was broken off."""


class NotHeldError(TownsfolkError):
    """Something that must hold does not; says what was seen."""


class Selftest:
    """One visit. `run()` fills `report`, printing as it goes."""

    def __init__(self, village: Village, console: Console) -> None:
        self.report = Report()
        self._village = village
        self._console = console
        self._began = time.monotonic()
        self._printed = 0
        self._player: Player

    def run(self) -> Report:
        """Do all of it; what fails is noted and the visit goes on, so that the report is whole."""
        with self._check("the service is ready"):
            self._timed("service start", self._village.start_service)
        with self._check("the game is ready and has the service"):
            self._timed("game start", self._village.start_game)
        if all(check.held for check in self.report.checks):
            self._visit()
        self.report.seconds = time.monotonic() - self._began
        self.report.held = all(check.held for check in self.report.checks)
        return self.report

    def _visit(self) -> None:
        with self._check("a player joins over the network"):
            self._timed("join", self._join)
        if not self.report.checks[-1].held:
            return
        with self._player:
            self._sights("at the start")
            self._talk()
            self._follow()
            self._rate()
            self._ask_crowd()
            self._memory()
            self._outage()
            self._records()
            self._lag()

    def _join(self) -> None:
        self._player = Player.join(HOST, self._village.ports.game, VISITOR)

    # --- what a visitor does -------------------------------------------------------------------

    def _talk(self) -> None:
        for name in VILLAGERS:
            with self._check(f"{name} answers a greeting"):
                self._go_to(name)
                self._ask(name, f"Hello {name}! Who are you?")
        with self._check("Brita answers when asked for directions"):
            self._go_to("Brita")
            self._ask("Brita", "Brita, where is the well?")
        with self._check("/ai say is answered"):
            self._go_to("Odo")
            self._ask("Odo", '/ai say "Good day Odo, what do you sell?"')

    def _follow(self) -> None:
        with self._check("a villager that is asked to follow comes along") as told:
            self._go_to("Wren")
            self._ask_to_follow("Wren")
            goal = self._walk_away()
            started = time.monotonic()
            self._wait("Wren came near", FOLLOW_SECONDS, lambda: self._distance("Wren", goal) <= NEAR)
            self.report.timings["follow"] = time.monotonic() - started
            told.append(f"came {FAR} nodes, to {self._distance('Wren', goal):.1f}")
            self._sights("after following")

    def _ask_to_follow(self, name: str) -> None:
        self._player.say(f"{name}, follow me please.")
        self._wait(f"{name} follows", ANSWER_SECONDS, lambda: self._villager(name).doing.startswith("follow"))

    def _walk_away(self) -> Position:
        """To a place on the street, `FAR` from the follower."""
        here = self._villager("Wren").position
        goal = Position(x=0, y=self._spawn().y, z=here.z + (FAR if here.z < 0 else -FAR))
        self._player.teleport(goal)
        self._sights("before following")
        return goal

    def _rate(self) -> None:
        for name, thumb in (("Brita", "up"), ("Tam", "down")):
            with self._check(f"a reply is rated {thumb}"):
                self._go_to(name)
                self._ask(name, f"{name}, how is your day?")
                time.sleep(READING_SECONDS)
                self._player.say(f"/ai rate {thumb}")
                self._player.wait_for_chat(r"(?i)rated|thank|noted", ANSWER_SECONDS)

    def _ask_crowd(self) -> None:
        names = (*VILLAGERS, *NEWCOMERS)
        with self._check(f"{len(names)} villagers asked at once all answer") as told:
            for number, name in enumerate(NEWCOMERS):
                self._player.teleport(Position(x=number % 3 - 1, y=self._spawn().y, z=MIDDLE_Z - number // 3))
                self._player.say(f"/ai spawn {name} {PERSONAS[number % len(PERSONAS)]}")
                self._player.wait_for_chat(f"{name} the", ANSWER_SECONDS)
            self._player.teleport(Position(x=0, y=self._spawn().y, z=MIDDLE_Z))
            seconds = self._answers_to_all(names)
            self.report.timings |= {"crowd, first answer": seconds[0], "crowd, last answer": seconds[-1]}
            told.append(f"first after {seconds[0]:.1f} s, last after {seconds[-1]:.1f} s")

    def _answers_to_all(self, names: tuple[str, ...]) -> list[float]:
        """Ask all of `names` in one breath; the seconds until each one's first words, in order."""
        asked, before = time.monotonic(), len(self._player.heard)
        for name in names:
            self._player.say(f"{name}, how are you?")
        answers: dict[str, float] = {}

        def all_answered() -> bool:
            for line in self._player.heard[before:]:
                found = re.match(_answer_of(r"\w+"), line.text)
                if found and found[1] in names:
                    answers.setdefault(found[1], line.at - asked)
            return len(answers) == len(names)

        try:
            self._wait("all answer", CROWD_SECONDS, all_answered)
        except NotHeldError as error:
            raise NotHeldError(f"{error}; silent: {', '.join(sorted(set(names) - set(answers)))}") from error
        return sorted(answers.values())

    def _outage(self) -> None:
        with self._check(f"without the service the villagers go by script within {SCRIPT_SECONDS} s") as told:
            self._village.service.kill()
            seconds = self._seconds_until("the script took over", 10, self._by_script)
            self.report.timings["script took over"] = seconds
            told.append(f"after {seconds:.1f} s")
            if seconds > SCRIPT_SECONDS:
                raise NotHeldError(f"the script took over after {seconds:.1f} s")
        with self._check("by script they move or greet, and who speaks is told") as told:
            self._go_to("Odo")
            self._player.say("Odo, are you there?")
            told.append(self._player.wait_for_chat(r"(?i)script|service|away|mind", ANSWER_SECONDS))
            before = self._positions()
            self._wait("a villager moved", ANSWER_SECONDS, lambda: self._moved(before))
            self._sights("by script")
        with self._check("the service comes back and they answer again"):
            self._timed("service restart", self._village.start_service)
            self._timed(
                "reconnect",
                lambda: self._wait("the game reconnects", RECONNECT_SECONDS, self._thinking),
            )
            self._go_to("Odo")
            self._ask("Odo", "Odo, are you back?")

    def _records(self) -> None:
        with self._check("every reply and both ratings are rows of the store") as told:
            self._wait("the rows are there", STORE_SECONDS, self._rows_are_there)
            told.append(f"{self.report.rows['turns']} turns, {self.report.rows['ratings']} ratings")

    def _rows_are_there(self) -> bool:
        rows = self.report.rows = count_rows(self._village.store)
        enough = rows.get("turns", 0) >= len(self.report.replies)
        return enough and rows.get("ratings up", 0) >= 1 and rows.get("ratings down", 0) >= 1

    def _memory(self) -> None:
        with self._check(f"the service takes less than {MAX_MEMORY_MB} MB") as told:
            peak = self._village.service.peak_memory_mb()
            self.report.memory_mb = peak
            told.append(f"{peak} MB at its peak")
            if peak >= MAX_MEMORY_MB:
                raise NotHeldError(f"it took {peak} MB")

    def _lag(self) -> None:
        with self._check(f"the server never waits: no step over {MAX_LAG_SECONDS} s") as told:
            longest = self._village.status().longest_step
            self.report.timings["longest server step"] = longest
            told.append(f"longest {longest:.3f} s")
            if longest >= MAX_LAG_SECONDS:
                raise NotHeldError(f"the longest step took {longest:.3f} s")

    # --- how it is seen ------------------------------------------------------------------------

    def _ask(self, name: str, text: str) -> None:
        """Say `text` and wait for the reply of the villager `name`."""
        asked = time.monotonic()
        self._player.say(text)
        answered = self._player.wait_for_chat(_answer_of(name), ANSWER_SECONDS)
        seconds = time.monotonic() - asked
        self.report.replies.append(Reply(villager=name, asked=text, answered=answered, seconds=seconds))

    def _go_to(self, name: str) -> None:
        """Stand before a villager, on the side of the street, and look at it."""
        at, spawn = self._villager(name).position, self._spawn()
        away = math.hypot(spawn.x - at.x, spawn.z - at.z) or 1
        step = TALKING_DISTANCE / away
        x, z = at.x + (spawn.x - at.x) * step, at.z + (spawn.z - at.z) * step
        self._player.teleport(Position(x=x, y=at.y, z=z))
        self._player.look_at(at)

    def _villager(self, name: str) -> VillagerStatus:
        found = self._village.status().villager(name)
        if found is None:
            raise NotHeldError(f"{name} is not in the village")
        return found

    def _spawn(self) -> Position:
        spawn = self._village.status().spawn
        if spawn is None:
            raise NotHeldError("the village tells no spawn point")
        return spawn

    def _by_script(self) -> bool:
        return self._village.status().by_script

    def _thinking(self) -> bool:
        status = self._village.status()
        return status.connected and not status.by_script

    def _distance(self, name: str, to: Position) -> float:
        at = self._villager(name).position
        return math.dist((at.x, at.y, at.z), (to.x, to.y, to.z))

    def _positions(self) -> dict[str, Position]:
        return {one.name: one.position for one in self._village.status().villagers}

    def _moved(self, before: dict[str, Position]) -> bool:
        return any(self._distance(name, at) > 0.5 for name, at in before.items())

    def _sights(self, moment: str) -> None:
        seen = {**self._positions(), VISITOR: self._player.position}
        self.report.positions += [Sight(moment=moment, name=name, position=at) for name, at in seen.items()]

    def _wait(self, what: str, seconds: float, holds: Callable[[], bool]) -> None:
        self._seconds_until(what, seconds, holds)

    def _seconds_until(self, what: str, seconds: float, holds: Callable[[], bool]) -> float:
        started = time.monotonic()
        while not holds():
            self._village.game.require_alive()
            if time.monotonic() - started > seconds:
                raise NotHeldError(f"not within {seconds:g} s: {what}")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - started

    def _timed(self, name: str, run: Callable[[], None]) -> None:
        started = time.monotonic()
        run()
        self.report.timings[name] = time.monotonic() - started

    @contextmanager
    def _check(self, name: str) -> Iterator[list[str]]:
        """Notes whether the block held, and what it put in the list."""
        told: list[str] = []
        started = time.monotonic()
        held = False
        try:
            yield told
            held = True
        except (NotHeldError, LaunchError, TimeoutError, ConnectionError) as error:
            told.append(str(error))
        self._print_chat()
        check = Check(name=name, held=held, seconds=time.monotonic() - started, told="; ".join(told))
        self.report.checks.append(check)
        print_check(self._console, check)

    def _print_chat(self) -> None:
        """Print, and keep, what was heard since the last check."""
        player = getattr(self, "_player", None)
        lines = player.heard[self._printed :] if player else ()
        self._printed += len(lines)
        for heard in lines:
            line = Line(at=heard.at - self._began, who=_speaker(heard.text), text=heard.text)
            self.report.transcript.append(line)
            print_line(self._console, line)


def _answer_of(name: str) -> str:
    """The pattern of a whole line that the mind of a villager gave; its group is who says it."""
    return rf"^<({name})> (?!{NO_WORDS}).*[^{CUT}]$"


def _speaker(text: str) -> Literal["you", "villager", "game"]:
    if text.startswith(f"<{VISITOR}>"):
        return "you"
    return "villager" if text.startswith("<") else "game"
