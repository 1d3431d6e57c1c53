"""Every action of the mod, performed in a real server by the probe mod, in two games.

`townsfolk_probe` plays the scenes and writes down what it found; here stands what must hold. The
service is away: only the game's own half is looked at.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from server import REPOSITORY, TEST_MODS, TOWNSFOLK_MOD, LuantiServer
from townsfolk.demo.player import Player

pytestmark = pytest.mark.game

MODS = (TOWNSFOLK_MOD, TEST_MODS / "townsfolk_probe", REPOSITORY / "examples" / "townsfolk_dance")
SETTINGS = {
    "max_forceloaded_blocks": 300,
    "dedicated_server_step": 0.05,
    "townsfolk.return_after": 3,
    "townsfolk.service_url": "http://127.0.0.1:9",
    "townsfolk.script_after": 100_000,
}
STEPS = {"north": ("z", 1), "south": ("z", -1), "east": ("x", 1), "west": ("x", -1)}

Found = dict[str, Any]


def play(directory: Path, game: str, phase: str) -> Found:
    """One start of the server: what its scenes found, by the scene's name."""
    settings = {**SETTINGS, "probe_phase": phase}
    with LuantiServer(directory, game=game, mods=MODS, settings=settings) as server:
        server.wait_for(r"\[probe\] ready")
        if phase == "first":
            with Player.join("127.0.0.1", server.port, "sam"):
                server.wait_end()
        else:
            server.wait_end()
        assert "ModError" not in server.log()
    found: Found = json.loads((server.world / "probe.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module", params=["minetest_game", "devtest"])
def starts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Found]:
    """What the first start and the second one, of the same world, found."""
    directory = tmp_path_factory.mktemp(request.param)
    return play(directory, request.param, "first"), play(directory, request.param, "second")


@pytest.fixture
def found(starts: tuple[Found, Found]) -> Found:
    return starts[0]


def verdict(outcome: Found) -> tuple[str, str]:
    return outcome["verdict"], outcome["reason"]


DONE = ("done", "")


@pytest.mark.parametrize("direction", STEPS)
def test_moves_go_their_way(found: Found, direction: str) -> None:
    scene, (axis, sign) = found[f"move_{direction}"], STEPS[direction]
    assert verdict(scene["outcome"]) == DONE
    assert scene["moved"][axis] * sign == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize("scene", ["goto_round_wall", "goto_over_water", "goto_up_and_down"])
def test_goto_finds_the_way(found: Found, scene: str) -> None:
    assert verdict(found[scene]["outcome"]) == DONE
    assert found[scene]["z"] > 3


def test_goto_gives_up_where_there_is_no_way(found: Found) -> None:
    result, reason = verdict(found["goto_walled_in"]["outcome"])
    assert result == "failed"
    assert "no way" in reason


def test_goto_never_walks_into_lava(found: Found) -> None:
    scene = found["goto_over_lava"]
    assert scene["outcome"]["verdict"] == "failed"
    assert scene["z"] < 0
    assert scene["hp"] == 20


def test_goto_notices_that_it_is_stuck(found: Found) -> None:
    result, reason = verdict(found["goto_stuck"]["outcome"])
    assert result == "failed"
    assert "stuck at" in reason


def test_free_doors_and_gates_are_opened_and_closed_again(found: Found) -> None:
    if "door" not in found:
        pytest.skip("this game has no doors")
    assert verdict(found["door"]["outcome"]) == DONE
    assert not found["door"]["open"]
    for kept in ("door_owned", "door_protected"):
        assert found[kept]["outcome"]["verdict"] == "failed"
        assert found[kept]["z"] < 3
        assert not found[kept]["open"]
    assert verdict(found["gate"]["outcome"]) == DONE
    assert found["gate"]["node"] == "doors:gate_wood_closed"


def test_dig_moves_the_node_into_the_inventory(found: Found) -> None:
    scene = found["dig"]
    assert verdict(scene["outcome"]) == DONE
    assert (scene["carried"], scene["node"]) == (1, "air")


def test_protected_nodes_are_neither_dug_nor_placed_on(found: Found) -> None:
    dig, place = found["dig_protected"], found["place_protected"]
    assert dig["outcome"]["verdict"] == place["outcome"]["verdict"] == "refused"
    assert "protected" in dig["outcome"]["reason"]
    assert dig["node"].endswith(":tree")
    assert (dig["carried"], place["carried"]) == (0, 3)
    assert dig["owned"]["verdict"] == "refused"
    assert "belongs to somebody" in dig["owned"]["reason"]


def test_a_node_seen_at_once_is_the_lower_ids(found: Found) -> None:
    scene = found["dig_claimed"]
    assert verdict(scene["first"]) == DONE
    assert verdict(scene["second"]) == ("refused", "First was there first")
    assert (scene["carried"], scene["others"]) == (1, 0)


def test_an_item_is_whose_who_saw_it_first(found: Found) -> None:
    scene = found["take_claimed"]
    assert verdict(scene["first"]) == ("refused", "Bee was there first")
    assert verdict(scene["second"]) == DONE
    assert (scene["a"], scene["b"], scene["lying"]) == (0, 5, 0)


def test_place_uses_one_of_what_is_carried(found: Found) -> None:
    scene = found["place"]
    assert verdict(scene["outcome"]) == DONE
    assert (scene["carried"], scene["placed"]) == (2, 1)


def test_take_leaves_what_finds_no_room(found: Found) -> None:
    scene = found["take_part"]
    assert verdict(scene["outcome"]) == DONE
    assert (scene["carried"], scene["lying"]) == (99, 3)


def test_give_loses_nothing(found: Found) -> None:
    scene = found["give"]
    assert verdict(scene["outcome"]) == DONE
    assert (scene["given"], scene["kept"]) == (4, 6)
    assert scene["greedy"]["verdict"] == "refused"
    assert verdict(scene["full"]) == DONE
    assert (scene["left"], scene["lying"]) == (1, 5)


def test_follow_comes_near_and_stops(found: Found) -> None:
    scene = found["follow"]
    assert verdict(scene["outcome"]) == DONE
    assert scene["near"]
    assert scene["doing"] == "follow sam"
    assert verdict(scene["stop"]) == DONE
    assert scene["after"] == ""


def test_attack_hurts_mobs_only(found: Found) -> None:
    assert verdict(found["fight"]["outcome"]) == DONE
    assert found["fight"]["dead"]
    assert found["fight"]["owned"]["verdict"] == "refused"
    assert found["fight"]["cow"] == 4
    assert found["attack_player"]["outcome"]["verdict"] == "refused"
    assert found["attack_player"]["hp"] == 20


def test_flee_gets_away_from_who_hurt_it(found: Found) -> None:
    scene = found["flee"]
    assert scene["none"]["verdict"] == "refused"
    assert scene["hp"] == 17
    assert verdict(scene["outcome"]) == DONE
    assert scene["distance"] > 8


def test_guard_kills_intruders_and_goes_back(found: Found) -> None:
    scene = found["guard"]
    assert verdict(scene["outcome"]) == DONE
    assert scene["dead"]
    assert scene["back"]
    assert scene["doing"] == "guard home"


def test_gestures(found: Found) -> None:
    scene = found["gestures"]
    for name in ("say", "wave", "look_at", "wait", "stop", "wander"):
        assert verdict(scene[name]) == DONE, name
    assert scene["yaw"] == pytest.approx(-1.5708, abs=0.01)  # east
    assert scene["seconds"] > 2
    assert verdict(scene["waited"]) == ("failed", "stopped")
    assert verdict(scene["removed"]) == ("failed", "it left the loaded world")
    assert scene["strolled"] > 1


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("unknown", "no action is called fly"),
        ("args", "whole number"),
        ("number", "whole number from 1 to 60"),
        ("absent", "not near"),
        ("carried", "carries no"),
        ("stale", "stale"),
        ("frozen", "frozen"),
        ("rate", "too many actions"),
        ("persona", "may not say"),
    ],
)
def test_refusals_say_why(found: Found, case: str, reason: str) -> None:
    outcome = found["refused"][case]
    assert outcome["verdict"] == "refused"
    assert reason in outcome["reason"]


def test_actions_of_a_turn_follow_each_other(found: Found) -> None:
    scene = found["turns"]
    assert scene["early"]
    assert verdict(scene["waved"]) == DONE
    assert verdict(scene["next"]) == DONE
    assert verdict(scene["replaced"]) == ("failed", "something else came up")


def test_another_mods_action_runs(found: Found) -> None:
    assert verdict(found["dance"]["outcome"]) == DONE


def test_who_dies_comes_home_with_all_it_had(found: Found) -> None:
    scene = found["death"]
    assert scene["dead"]
    assert scene["distance"] < 1
    assert (scene["hp"], scene["carried"]) == (20, 7)


def test_whose_body_is_lost_gets_another(found: Found) -> None:
    scene = found["lost"]
    assert scene["gone"]
    assert scene["back"]
    assert scene["carried"] == 1


def test_a_villager_outlives_its_unloading(found: Found) -> None:
    scene = found["unloaded"]
    assert scene["gone"]
    assert scene["back"]
    assert (scene["bodies"], scene["carried"], scene["hp"]) == (1, 3, 20)
    assert verdict(scene["ended"]) == ("failed", "it left the loaded world")


def test_a_villager_outlives_the_restart(starts: tuple[Found, Found]) -> None:
    before, after = starts[0]["keeper"], starts[1]["keeper"]
    assert after["id"] == before["id"]
    assert after["home"] == before["home"]
    assert (after["name"], after["persona"], after["carried"]) == ("Keeper", "guard", 9)
    assert after["memory"] == {"friend": "sam"}
    assert after["doing"] == "guard home"
    assert after["distance"] < 3.5


def test_nobody_has_two_bodies(starts: tuple[Found, Found]) -> None:
    assert starts[1]["bodies"]["twice"] == 0
    hermits = 1  # lives where this start loads nothing
    assert starts[1]["bodies"]["active"] == starts[1]["keeper"]["known"] - hermits
