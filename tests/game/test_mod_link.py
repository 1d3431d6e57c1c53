"""The mod's link to the service, in a real server with real players, against a service that fails.

The service is `contract_service.py`: it validates every request, and no model thinks behind it.
"""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from contract_service import SLOW_SECONDS, ContractService, Mode

from server import REPOSITORY, TOWNSFOLK_MOD, LuantiServer
from townsfolk.demo.player import Player
from townsfolk.training.data import read_actions
from townsfolk.types import Action, Position

pytestmark = pytest.mark.game

OTHERS = ("Abel", "Bea", "Cato", "Dora", "Emil", "Fay", "Gus", "Hild", "Ivo")
SOON = TICK_SECONDS = 5
POLL_SECONDS = 0.05


class Village:
    """A running server with its service, a player `sam` who manages it, and one who does not, `ann`."""

    def __init__(self, server: LuantiServer, service: ContractService, sam: Player, ann: Player) -> None:
        self.server = server
        self.service = service
        self.sam = sam
        self.ann = ann

    def status(self) -> str:
        self.sam.say("/ai status")
        return self.sam.wait_for_chat(r"\d requests", SOON)

    def ask(self, text: str) -> None:
        """Say `text` to Mira, by name, and get the answer."""
        self.sam.say(text)
        self.sam.wait_for_chat(re.escape(f"<Mira> You said: {text}"), SOON)

    def wait(self, holds: Callable[[], object], seconds: float = SOON) -> float:
        """Seconds until `holds()`; AssertionError after `seconds`."""
        started = time.monotonic()
        while not holds():
            assert time.monotonic() - started < seconds, f"not within {seconds} s"
            time.sleep(POLL_SECONDS)
        return time.monotonic() - started

    def logged(self, line: str, since: int) -> Callable[[], bool]:
        return lambda: line in self.server.log()[since:]


def _settings(service: ContractService) -> dict[str, object]:
    return {
        "mg_name": "flat",
        "name": "sam",
        "default_privs": "interact, shout, teleport",
        "disable_anticheat": "true",
        "chat_message_limit_per_10sec": 1000,
        "townsfolk.service_url": f"http://127.0.0.1:{service.port}",
        "townsfolk.tick_seconds": TICK_SECONDS,
        "townsfolk.request_seconds": 2,
    }


def _join(server: LuantiServer, name: str) -> Player:
    return Player.join("127.0.0.1", server.port, name)


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    service = ContractService()
    service.start()
    server = LuantiServer(tmp_path_factory.mktemp("link"), mods=(TOWNSFOLK_MOD,), settings=_settings(service))
    with server, _join(server, "sam") as sam, _join(server, "ann") as ann:
        sam.say("/ai spawn Mira explorer")
        sam.wait_for_chat("Mira the explorer is here", SOON)
        yield Village(server, service, sam, ann)
    service.stop()
    assert not service.faults, service.faults[0]
    assert "ModError" not in server.log()


def test_registry_reaches_the_service(village: Village) -> None:
    village.wait(lambda: len(village.service.games) >= 2)
    game = village.service.games[-1]
    assert game.actions == read_actions(REPOSITORY / "data" / "names"), "write it anew: scripts/names"
    assert game.personas == ("explorer",)
    assert game.game_name == "minetest_game"
    assert game.game_id == village.service.games[0].game_id


def test_answer_is_heard_by_all_near(village: Village) -> None:
    village.ann.say("(listens)")
    village.sam.say("Good day to you, mira!")
    assert village.sam.wait_for_chat("<Mira>", SOON) == "<Mira> You said: Good day to you, mira!"
    village.ann.wait_for_chat("<Mira> You said: Good day to you", SOON)


def test_talk_goes_on_without_the_name(village: Village) -> None:
    village.ask("Mira, hello.")
    village.sam.say("And how are you?")
    village.sam.wait_for_chat("<Mira> You said: And how are you", SOON)


def test_ai_say_is_between_the_two(village: Village) -> None:
    village.sam.say('/ai say "A secret."')
    village.sam.wait_for_chat("<Mira> You said: A secret.", SOON)
    assert village.service.events("spoken_to")[-1].private
    assert not [line for line in village.ann.heard if "secret" in line.text]


def test_text_is_cleaned(village: Village) -> None:
    village.sam.say(
        'Mira \x1b(c@#ff0000)red\x1b(c@#ffffff) \U0001f600 [ACTION:dig default:stone] \\ "around":null'
    )
    village.sam.wait_for_chat(r"<Mira> You said: Mira red .*dig default:stone", SOON)


def test_ratings_reach_the_service(village: Village) -> None:
    village.service.ratings.clear()
    village.ask("Mira, one more word?")
    village.sam.say("/ai rate up")
    village.sam.wait_for_chat("you rated Mira's reply up", SOON)
    village.sam.say("/ai rate up mira")
    village.sam.wait_for_chat("already", SOON)
    village.sam.say("/ai rate down mira")
    village.sam.wait_for_chat("reply down", SOON)
    village.wait(lambda: len(village.service.ratings) == 2)
    up, down = village.service.ratings
    assert (up.player, up.value, down.value, up.turn_id) == ("sam", 1, -1, down.turn_id)
    assert up.game_id
    village.ann.say("/ai rate up")
    village.ann.wait_for_chat("has not answered you", SOON)


def test_engagement_is_gathered_and_names_its_turn(village: Village) -> None:
    village.ask("Mira, a question?")
    turn = f"turn-{village.service.turns}"
    village.ask("Mira, thank you.")
    village.ask("Mira, and goodbye.")
    here = village.sam.position
    village.sam.teleport(Position(x=here.x + 30, y=here.y, z=here.z))
    village.wait(lambda: any(sign.kind == "left" for sign in village.service.engagement), 2 * SOON)
    village.sam.teleport(here)
    signs = village.service.engagement
    assert (turn, "answered", "sam") in {(sign.turn_id, sign.kind, sign.player) for sign in signs}
    assert (signs[-1].kind, signs[-1].turn_id) == ("left", f"turn-{village.service.turns}")


def test_form_talks_and_rates(village: Village) -> None:
    village.ask("Mira, a word?")
    village.service.ratings.clear()
    village.sam.watch_form("townsfolk:talk")
    village.sam.right_click(village.sam.position)
    form = village.sam.wait_for_form("townsfolk:talk", SOON)
    assert r"Mira\, explorer" in form
    assert "rate_up_" in form
    village.sam.fill_form("townsfolk:talk", {"line": "from the form; [x]", "say": "Say"})
    village.sam.wait_for_chat(re.escape("<Mira> You said: from the form; [x]"), SOON)
    village.wait(
        lambda: r"You said: from the form\; \[x\]" in village.sam.wait_for_form("townsfolk:talk", SOON)
    )
    turn_id = f"turn-{village.service.turns}"
    village.sam.fill_form("townsfolk:talk", {f"rate_down_{turn_id}": "-1"})
    village.wait(lambda: village.service.ratings)
    assert village.service.ratings[0].turn_id == turn_id
    village.sam.fill_form("townsfolk:talk", {"rate_up_turn-of-somebody-else": "+1"})
    village.sam.fill_form("townsfolk:talk", {"quit": "true"})
    time.sleep(0.5)
    assert len(village.service.ratings) == 1


def test_outcomes_are_told(village: Village) -> None:
    village.service.outcomes.clear()
    village.service.answers = {
        "turn": (Action(name="look_at", args=("sam",)),),
        "fly": (Action(name="fly_to_the_moon", args=("now",)),),
    }
    village.sam.say("Mira, turn to me")
    village.wait(lambda: village.service.outcomes)
    village.sam.say("Mira, fly")
    village.wait(lambda: len(village.service.outcomes) >= 2)
    done, refused = village.service.outcomes[:2]
    assert (done.action, done.verdict) == ("look_at sam", "done")
    assert (refused.action, refused.verdict) == ("fly_to_the_moon now", "refused")
    assert "no action is called" in refused.reason


def test_speech_like_a_command_is_not_said_and_freezes_nobody(village: Village) -> None:
    village.service.outcomes.clear()
    village.service.speech, log = "/shutdown {}", len(village.server.log())
    village.sam.say("Mira, now")
    village.wait(lambda: village.service.outcomes)
    village.service.speech = "You said: {}"
    refused = village.service.outcomes[0]
    assert (refused.action, refused.rule) == ('say "/shutdown Mira, now"', "speech")
    village.ask("Mira, are you still with us?")
    assert "Mira is frozen" not in village.server.log()[log:]


def test_who_follows_on_request_has_no_ideas_of_its_own(village: Village) -> None:
    village.service.answers |= {
        "along": (Action(name="follow", args=("sam",)),),
        "halt": (Action(name="stop"),),
    }
    village.ask("Mira, come along")
    asked = len(village.service.events("tick"))
    time.sleep(TICK_SECONDS + 1)
    assert len(village.service.events("tick")) == asked
    village.ask("Mira, halt")
    village.wait(lambda: len(village.service.events("tick")) > asked, TICK_SECONDS + 1)


def test_observations_carry_what_changed(village: Village) -> None:
    village.ask("Mira, look round.")
    first = next(seen for seen in village.service.observations if seen.around)
    assert first.me is not None
    assert first.around is not None
    assert {"sam", "ann"} <= {thing.name for thing in first.around.things}
    here = village.sam.position
    village.sam.teleport(Position(x=here.x + 8, y=here.y, z=here.z))
    village.ask("Mira, where am I?")
    moved = village.service.observations[-1].around
    assert moved is not None
    assert next(thing.direction for thing in moved.things if thing.name == "sam") == "east"
    village.ask("Mira, and now?")
    assert village.service.observations[-1].around is None
    village.sam.teleport(here)


def test_ten_villagers_asked_at_once_all_answer(village: Village) -> None:
    for name in OTHERS:
        village.sam.say(f"/ai spawn {name} builder")
        village.sam.wait_for_chat(f"{name} the builder is here", SOON)
    village.sam.say(f"Mira, {', '.join(OTHERS)}: who are you?")
    for _ in range(1 + len(OTHERS)):
        village.sam.wait_for_chat("> You said: Mira, Abel", SOON)
    answered = {
        line.text.split(">")[0] for line in village.sam.heard if "> You said: Mira, Abel" in line.text
    }
    assert answered == {f"<{name}" for name in ("Mira", *OTHERS)}


def test_commands_tell_what_to_do(village: Village) -> None:
    for line, told in (
        ("/ai", "Try /ai help"),
        ("/ai status", "the service, villagers think"),
        ("/ai dance", "Try /ai help"),
        ("/ai rate sideways", "Usage: /ai rate"),
        ("/ai remove mira", "need the privilege townsfolk"),
        ("/ai list", r"Mira \(explorer\): \d+ nodes"),
    ):
        village.ann.say(line)
        village.ann.wait_for_chat(told, SOON)
    village.sam.say("/ai persona ivo Bad-Name")
    village.sam.wait_for_chat("a persona's name is", SOON)
    for seconds, told in ((60, "Ivo is frozen for 60 seconds"), (0, "Ivo is free")):
        village.sam.say(f"/ai freeze ivo {seconds}")
        village.sam.wait_for_chat(told, SOON)
    village.sam.say("/ai persona ivo guard")
    village.sam.wait_for_chat("Ivo is a guard now", SOON)
    village.sam.say("/ai remove Ivo")
    village.sam.wait_for_chat("Ivo is gone", SOON)


def test_script_takes_over_and_hands_back(village: Village) -> None:
    since = len(village.server.log())
    village.service.stop()
    assert village.wait(village.logged("villagers go by script", since)) < 3
    village.sam.say("Mira, are you there?")
    village.sam.wait_for_chat("<Mira> I can't find words.*script", SOON)
    village.service.start()
    restarted = time.monotonic()
    village.wait(village.logged("villagers think again", since))
    village.ask("Mira, are you back?")
    assert time.monotonic() - restarted < 5
    log = village.server.log()[since:]
    assert log.count("villagers go by script") == log.count("villagers think again") == 1


@pytest.mark.parametrize("mode", ["error", "garbage", "half", "slow"])
def test_a_broken_service_does_no_harm(village: Village, mode: str) -> None:
    since = len(village.server.log())
    village.service.mode = cast("Mode", mode)
    village.wait(village.logged("villagers go by script", since), 8)
    village.service.mode = "well"
    village.wait(village.logged("villagers think again", since), 12)
    time.sleep(1)
    village.ask(f"Mira, after {mode}?")


def test_what_is_said_to_a_busy_service_is_answered_later(village: Village) -> None:
    village.service.mode = "busy"
    village.sam.say("Mira, are you busy?")
    time.sleep(1)
    village.service.mode = "well"
    village.sam.wait_for_chat("<Mira> You said: Mira, are you busy", SOON)


def test_stale_decisions_are_dropped_and_told(village: Village) -> None:
    village.service.outcomes.clear()
    village.service.age = 60
    village.ann.say("Mira, turn to me")
    village.ann.wait_for_chat("<Mira> I can't find words", SOON)
    village.service.age = 0
    village.wait(lambda: village.service.outcomes)
    assert village.service.outcomes[0].verdict == "refused"
    assert village.service.outcomes[0].reason == "stale"


def test_who_gets_no_answer_is_told(village: Village) -> None:
    village.service.late = True
    village.sam.say("Mira, are you slow?")
    village.sam.wait_for_chat("<Mira> I can't find words", SOON)
    village.service.late = False


def test_the_server_never_waited(village: Village) -> None:
    """Not even for a service that took `SLOW_SECONDS`; a busy machine alone makes steps long, too."""
    longest = re.search(r"longest step ([0-9.]+) s", village.status())
    assert longest
    assert 0 < float(longest[1]) < SLOW_SECONDS / 5, village.status()


def test_without_http_the_log_says_what_to_do(tmp_path: Path) -> None:
    with LuantiServer(tmp_path, mods=(TOWNSFOLK_MOD,), settings={"secure.http_mods": ""}) as server:
        server.wait_for("no HTTP: add `townsfolk` to secure.http_mods")
        server.wait_for("villagers go by script")
        assert "ModError" not in server.log()
