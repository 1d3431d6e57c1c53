"""Whose turn may be rated with which token, over the real store."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from store_writer import new_turn

from running import Target, running
from tiny_model import tiny_settings
from townsfolk.gateway.tokens import Holder, Scope, add_token
from townsfolk.serving import Rooms, Village

GAMES = ("valley", "hills")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ratings")


@pytest.fixture(scope="module")
def tokens(folder: Path) -> dict[str, str]:
    """One for each game, and one for all."""
    games = {**{game: game for game in GAMES}, "all": ""}
    holders = [Holder(name=name, scopes=frozenset({Scope.RATE}), game_id=of) for name, of in games.items()]
    return {holder.name: add_token(folder / "tokens.json", holder) for holder in holders}


@pytest.fixture(scope="module")
def target(folder: Path, tokens: dict[str, str]) -> Iterator[Target]:
    """Each game has had a turn; one was asked for directly."""
    rooms = Rooms.open(tiny_settings(folder))
    for game_id in (*GAMES, ""):
        turn = new_turn(f"of-{game_id}")
        rooms.store.record_turn(turn.model_copy(update={"game_id": game_id}))
    with running(Village(rooms), tokens_file=folder / "tokens.json") as target:
        yield target
    rooms.close()


def rate(target: Target, token: str, turn_id: str, **fields: str) -> httpx.Response:
    return httpx.post(
        f"{target.http}/v1/ratings",
        json={"turn_id": turn_id, "player": "sam", "value": 1, **fields},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )


def test_a_token_rates_turns_of_its_own_game(target: Target, tokens: dict[str, str]) -> None:
    for game in GAMES:
        assert rate(target, tokens[game], f"of-{game}").status_code == httpx.codes.NO_CONTENT
        assert rate(target, tokens[game], "of-").status_code == httpx.codes.NO_CONTENT
        assert rate(target, tokens["all"], f"of-{game}").status_code == httpx.codes.NO_CONTENT
    refused = rate(target, tokens["hills"], "of-valley")
    assert refused.status_code == httpx.codes.FORBIDDEN
    assert "'of-valley' is not of the game 'hills'" in refused.json()["error"]["message"]


def test_a_rating_may_say_for_which_game_it_is(target: Target, tokens: dict[str, str]) -> None:
    assert rate(target, tokens["all"], "of-valley", game_id="valley").status_code == httpx.codes.NO_CONTENT
    for token in ("all", "hills"):
        answer = rate(target, tokens[token], "of-valley", game_id="hills")
        assert answer.status_code == httpx.codes.FORBIDDEN
    assert rate(target, tokens["hills"], "of-valley", game_id="valley").status_code == httpx.codes.FORBIDDEN


def test_a_turn_that_is_not_there_is_told_so(target: Target, tokens: dict[str, str]) -> None:
    assert rate(target, tokens["hills"], "nobodys").status_code == httpx.codes.NOT_FOUND
