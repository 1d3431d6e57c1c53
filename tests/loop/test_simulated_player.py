"""The simulated player plays over HTTP with a tiny model: what it hears and rates is what is stored."""

import sqlite3
from pathlib import Path

import httpx
import pytest
from simulated_player import (
    Heard,
    SimulatedPlayer,
    asking_the_way,
    met,
    short_with_direction,
    thumbs,
)

from running import running
from tiny_model import tiny_settings
from townsfolk.serving import Rooms, Village
from world import ACTIONS, WELL, observation, said


@pytest.mark.parametrize(
    ("speech", "liked"),
    [
        ("The well is north of here.", True),
        ("Go South-East!", True),
        ("I like it here.", False),
        ("", False),
        ("North " * 20, False),
    ],
)
def test_its_taste(speech: str, liked: bool) -> None:
    assert short_with_direction(speech) == liked


def test_it_asks_for_what_the_villager_sees() -> None:
    """Never for itself, and not where nobody speaks."""
    scene = observation(said("hello"), nodes=(WELL,))
    (asked,) = asking_the_way([scene, observation()])
    assert "the well" in asked.events[-1].text
    assert asked.model_copy(update={"events": scene.events}) == scene


def test_a_tenth_of_its_thumbs_are_wrong() -> None:
    heard = [Heard(f"t{n}", "sam", "North." if n % 2 else "Hm.") for n in range(1_000)]
    given = thumbs(heard, short_with_direction, 0.1, seed=1)
    right = [1 if n % 2 else -1 for n in range(1_000)]
    wrong = sum(value != due for value, due in zip(given, right, strict=True))
    assert 70 < wrong < 130
    assert given == thumbs(heard, short_with_direction, 0.1, seed=1)
    assert met(heard, short_with_direction) == 0.5


def test_what_it_hears_and_rates_is_stored(tmp_path: Path) -> None:
    rooms = Rooms.open(tiny_settings(tmp_path))
    scenes = [observation(said(f"where is the well? {n}")) for n in range(11)]
    with running(Village(rooms)) as target, httpx.Client(base_url=target.http, timeout=120) as http:
        player = SimulatedPlayer(http, "proof", ACTIONS)
        heard = list(player.play(scenes))
        given = thumbs(heard, lambda speech: len(speech) % 2 == 0, 0.1, seed=1)
        for it, value in zip(heard, given, strict=True):
            player.rate(it, value)
    assert len({it.turn_id for it in heard}) == len(scenes)
    rooms.close()
    with sqlite3.connect(tmp_path / "village.db") as database:
        stored = dict(database.execute("SELECT turn_id, value FROM ratings WHERE player LIKE 'Alice%'"))
    assert stored == {it.turn_id: value for it, value in zip(heard, given, strict=True)}
