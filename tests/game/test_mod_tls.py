"""The mod with an https service_url and a token: a real game server, the real service on a tiny model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from running import Target, running
from server import LuantiServer
from tiny_model import tiny_settings
from townsfolk.gateway.tokens import Holder, Scope, add_token
from townsfolk.serving import Rooms, Village

pytestmark = pytest.mark.game

GAMES_OWN = frozenset({Scope.PLAY, Scope.RATE})


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By game, and under `file` where they are kept."""
    file = tmp_path_factory.mktemp("home") / "tokens.json"
    made = {
        game: add_token(file, Holder(name=game, scopes=GAMES_OWN, game_id=game))
        for game in ("valley", "hill")
    }
    return {**made, "file": str(file)}


@pytest.fixture(scope="module")
def secured(tokens: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("secured")
    pair = trustme.CA().issue_cert("127.0.0.1")
    pem = folder / "both.pem"
    pair.private_key_and_cert_chain_pem.write_to_path(pem)
    rooms = Rooms.open(tiny_settings(folder))
    tls = {"certificate": pem, "key": pem}
    with running(Village(rooms), tls=tls, tokens_file=Path(tokens["file"])) as target:
        yield target
    rooms.close()


def game(folder: Path, target: Target, token: str, trusting: bool = True) -> LuantiServer:
    settings = {
        "townsfolk.service_url": target.http,
        "townsfolk.api_token": token,
        "townsfolk.game_id": "valley",
        "curl_verify_cert": "false" if trusting else "true",
    }
    return LuantiServer(folder, settings=settings)


def test_a_game_connects_encrypted_with_its_own_token(
    secured: Target, tokens: dict[str, str], tmp_path: Path
) -> None:
    with game(tmp_path, secured, tokens["valley"]) as server:
        server.wait_for(r"connected to the service \S+ at https://")
        assert tokens["valley"] not in server.log()


@pytest.mark.parametrize(
    ("token", "told"), [("hill", "HTTP 403: .* for the game 'hill'"), ("no", "HTTP 401")]
)
def test_another_games_token_is_refused_and_the_log_says_why(
    secured: Target, tokens: dict[str, str], tmp_path: Path, token: str, told: str
) -> None:
    with game(tmp_path, secured, tokens.get(token, "made up")) as server:
        server.wait_for(told)


def test_a_service_that_cannot_prove_itself_gets_no_token(
    secured: Target, tokens: dict[str, str], tmp_path: Path
) -> None:
    with game(tmp_path, secured, tokens["valley"], trusting=False) as server:
        server.wait_for(r"the service at https://\S+ is away: no connection")
        assert "connected to the service" not in server.log()
