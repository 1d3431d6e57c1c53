"""A real Luanti server whose service fails, with a real player in it; and a service whose game is killed.

The promise: the game's step never waits, scripts take over within 3 s, minds are back within 5 s of the
service, and who speaks to a villager meanwhile is told why it does not answer.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from bench.chaos.proxy import Fault, Proxy
from bench.chaos.service import HOST, Place, ServiceProcess
from bench.chaos.service import running as service_running
from bench.promises import Row
from server import TOWNSFOLK_MOD, LuantiServer
from townsfolk.demo.player import Player

TAKE_OVER_S, BACK_S = 3.0, 5.0
STEP_S = 1.0
"""A step that waited for the service would take as long as a request may, 3 s; a busy machine makes 0.3."""
GIVE_UP_S = 60.0
GONE_S = 5.0
"""`agents.game_timeout_s`: after so long a game that was killed is let go."""
POLL_S = 0.02
VILLAGER, NEWCOMER = "Mira", "Nora"
SCRIPT, MIND = "villagers go by script", "villagers think again"
NO_WORDS = "I can't find words"
BY_PROXY: tuple[Fault, ...] = tuple(fault for fault in get_args(Fault) if fault)
OUTAGES = ("killed", "hung", *BY_PROXY)


@dataclass(frozen=True)
class Village:
    service: ServiceProcess
    proxy: Proxy
    server: LuantiServer
    sam: Player

    def await_log(self, text: str, since: int) -> float:
        """Seconds until the game logs `text`. Raises TimeoutError."""
        return _await(text, lambda: text in self.server.log()[since:])

    def await_mind(self) -> float:
        """Seconds until the villager answers by its mind; asked again where it has no words yet."""
        return _await("answer", lambda: _answers(self.sam, VILLAGER))

    def longest_step(self) -> float:
        """Seconds, since the server's start."""
        self.sam.say("/ai status")
        line = self.sam.wait_for_chat("longest step", GIVE_UP_S)
        return float(re.findall(r"longest step ([0-9.]+) s", line)[0])


def service_outages(folder: Path, names: tuple[str, ...] = OUTAGES) -> Iterator[Row]:
    """A row for each way in which the service fails."""
    with _village(folder) as village:
        for name in names:
            yield _outage(village, name)


def game_killed(folder: Path) -> Row:
    """The game is killed in the midst of a turn: the service frees its villagers, and serves a new game."""
    with _village(folder) as village:
        village.sam.say(f"{VILLAGER}, tell me something")
        assert village.server.process is not None
        village.server.process.kill()
        _await("the game's villagers to go", lambda: village.service.metric("townsfolk_sessions") > 0)
        freed = _await("no game", lambda: village.service.metric("townsfolk_games") == 0)
        left = village.service.metric("townsfolk_sessions")
        village.server.start()
        with Player.join(HOST, village.server.port, "sam") as sam:
            _spawn(sam, NEWCOMER)  # the other may not have been saved
            _await("answer", lambda: _answers(sam, NEWCOMER))
    late = freed > 2 * GONE_S
    return Row("game_killed", 1, int(left == 0), late=int(late), note=f"let go after {freed:.1f} s")


def _outage(village: Village, name: str) -> Row:
    since = len(village.server.log())
    _break(village, name)
    taken_over = village.await_log(SCRIPT, since)
    village.sam.say(f"{VILLAGER}, can you hear me?")
    village.sam.wait_for_chat(f"<{VILLAGER}> {NO_WORDS}", GIVE_UP_S)
    _mend(village, name)
    back = village.await_log(MIND, since)
    village.await_mind()
    step = village.longest_step()
    late = (taken_over > TAKE_OVER_S) + (back > BACK_S) + (step > STEP_S)
    note = f"script after {taken_over:.1f} s, back after {back:.1f} s, longest step {step:.2f} s"
    return Row(name, 1, 1, late=late, note=note)


def _break(village: Village, name: str) -> None:
    if name == "killed":
        village.service.kill()
    elif name == "hung":
        village.service.hang()
    else:
        village.proxy.break_by(next(fault for fault in BY_PROXY if fault == name))


def _mend(village: Village, name: str) -> None:
    """The service is back when this returns."""
    if name == "killed":
        village.service.start()
        village.service.await_ready()
    elif name == "hung":
        village.service.go_on()
    else:
        village.proxy.mend()


@contextmanager
def _village(folder: Path) -> Iterator[Village]:
    place = Place.make(folder / "service")
    with service_running(place) as service, Proxy(place.port) as proxy:
        server = LuantiServer(folder / "game", mods=(TOWNSFOLK_MOD,), settings=_settings(proxy.port))
        with server, Player.join(HOST, server.port, "sam") as sam:
            _spawn(sam, VILLAGER)
            village = Village(service, proxy, server, sam)
            village.await_mind()
            yield village


def _spawn(player: Player, name: str) -> None:
    player.say(f"/ai spawn {name} explorer")
    player.wait_for_chat(f"{name} the explorer is here", GIVE_UP_S)


def _answers(player: Player, name: str) -> bool:
    """Whether its mind answers."""
    player.say(f"{name}, are you there?")
    return NO_WORDS not in player.wait_for_chat(f"<{name}>", GIVE_UP_S)


def _settings(port: int) -> dict[str, object]:
    return {
        "mg_name": "flat",
        "name": "sam",
        "default_privs": "interact, shout",
        "disable_anticheat": "true",
        "chat_message_limit_per_10sec": 1_000,
        "townsfolk.service_url": f"http://{HOST}:{port}",
    }


def _await(what: str, holds: Callable[[], bool]) -> float:
    """Seconds until `holds()`. Raises TimeoutError."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > GIVE_UP_S:
            raise TimeoutError(f"no {what} within {GIVE_UP_S:g} s")
        time.sleep(POLL_S)
    return time.monotonic() - started
