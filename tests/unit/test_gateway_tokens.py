"""Tokens: what they open, how they are kept, and that a change needs no restart."""

import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from townsfolk.config import Settings
from townsfolk.errors import ConfigError, InvalidRequest, Unauthorized, UnknownName
from townsfolk.gateway.tokens import (
    ANYBODY,
    Holder,
    OwnToken,
    Scope,
    Tokens,
    add_token,
    read_tokens,
    revoke_token,
)

OWN = "a-token-of-16-chars-ü"
GAME = Holder(name="valley", scopes=frozenset({Scope.PLAY, Scope.RATE}), game_id="world-1")
OPERATOR = Holder(name="anna", scopes=frozenset({Scope.ADMIN}))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "tokens.json"


def tokens(file: Path, own: str = "") -> Tokens:
    return Tokens(Settings(tokens_file=file, api_token=own))


@pytest.mark.parametrize("header", [f"Bearer {OWN}", f"bearer  {OWN} ", f"Bearer {OWN}".encode()])
def test_the_settings_own_token_opens_all(file: Path, header: str | bytes) -> None:
    holder = tokens(file, OWN).authorize(header)
    assert all(holder.may(scope, game) for scope in Scope for game in ("", "world-1"))


@pytest.mark.parametrize(
    "header", [None, "", b"", OWN, "Bearer", f"Basic {OWN}", "Bearer \udcff", f"Bearer {OWN}x", "Bearer ä"]
)
def test_anything_else_opens_nothing(file: Path, header: str | bytes | None) -> None:
    add_token(file, GAME)
    with pytest.raises(Unauthorized, match="townsfolk tokens add"):
        tokens(file, OWN).authorize(header)


def test_a_token_opens_its_scopes_for_its_game(file: Path) -> None:
    token = add_token(file, GAME)
    known = tokens(file)
    assert known.authorize(f"Bearer {token}").name == "valley"
    assert known.may(token, Scope.PLAY, "world-1")
    assert known.may(token, Scope.RATE)
    assert not known.may(token, Scope.PLAY, "world-2")
    assert not known.may(token, Scope.ADMIN)
    assert not known.may(token + "x", Scope.PLAY, "world-1")


def test_the_file_is_private_and_holds_no_token(file: Path) -> None:
    token = add_token(file, GAME)
    kept = file.read_text()
    assert token not in kept
    assert hashlib.sha256(token.encode()).hexdigest() in kept
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_added_and_revoked_counts_at_the_next_call(file: Path) -> None:
    first = add_token(file, GAME)
    known = tokens(file)
    second = add_token(file, OPERATOR)
    assert known.may(second, Scope.ADMIN)
    revoke_token(file, GAME.name)
    assert not known.may(first, Scope.PLAY)
    assert known.may(second, Scope.ADMIN)


def test_without_any_token_anybody_may_until_there_is_one(file: Path) -> None:
    known = tokens(file)
    assert known.open
    assert known.authorize(None) == ANYBODY
    add_token(file, GAME)
    with pytest.raises(Unauthorized):
        known.authorize(None)


@pytest.mark.parametrize("change", ["revoked", "deleted", "damaged", "unreadable"])
def test_losing_the_last_token_opens_nothing(file: Path, change: str) -> None:
    token = add_token(file, GAME)
    known = tokens(file)
    match change:
        case "revoked":
            revoke_token(file, GAME.name)
        case "deleted":
            file.unlink()
        case "damaged":
            file.write_text('{"tokens": [{"name": ')
        case _:
            file.unlink()
            file.mkdir()
    for header in (None, f"Bearer {token}"):
        with pytest.raises(Unauthorized):
            known.authorize(header)


def test_a_file_that_cannot_be_read_keeps_the_service_from_starting(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("[]")
    with pytest.raises(ConfigError, match="townsfolk tokens add"):
        tokens(file)


def test_a_name_is_given_once_and_operators_have_all_games(file: Path) -> None:
    add_token(file, GAME)
    with pytest.raises(InvalidRequest, match="'valley' is there already"):
        add_token(file, GAME)
    with pytest.raises(InvalidRequest, match="scope admin is for all games"):
        add_token(file, Holder(name="x", scopes=frozenset(Scope), game_id="world-1"))
    with pytest.raises(UnknownName, match="tokens list"):
        revoke_token(file, "nobody")
    assert [token.name for token in read_tokens(file)] == ["valley"]


def test_tokens_made_at_once_are_all_kept(file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: add_token(file, GAME.model_copy(update={"name": f"g{n}"})), range(24)))
    known = tokens(file)
    assert all(known.may(token, Scope.PLAY) for token in made)


def test_a_services_own_token_is_made_once_for_its_owners_eyes(tmp_path: Path) -> None:
    file = tmp_path / "home" / "console.token"
    own = OwnToken(file)
    own.make()
    token = file.read_text().strip()
    own.make()
    assert own.equals(token)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [own.equals(other) for other in ("", token[:-1], token + "x", "ä")] == [False] * 4


@pytest.mark.parametrize("kept", [None, b"", b"\n", b"short\n"])
def test_a_services_own_token_that_is_none_opens_nothing(tmp_path: Path, kept: bytes | None) -> None:
    file = tmp_path / "console.token"
    if kept is not None:
        file.write_bytes(kept)
    assert not any(OwnToken(file).equals(token) for token in ("", "short"))


def test_a_services_own_token_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"console\.token_file .*tokens add"):
        OwnToken(tmp_path / "file" / "console.token").make()
