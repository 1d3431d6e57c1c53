"""Who may do what: the tokens of games and operators, hashed at rest, read again when their file changes.

A token is 256 random bits, so SHA-256 keeps it; a slow hash is for what people choose.
It knows no protocol: `authorize` takes the header as it came, `may` a token from wherever.
"""

import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from townsfolk.config import SHORTEST_TOKEN, Settings
from townsfolk.errors import ConfigError, InvalidRequest, Unauthorized, UnknownName
from townsfolk.types import Message, Name

log = logging.getLogger(__name__)

PREFIX = "townsfolk_"
"""So that scanners for leaked secrets know one when they see it."""
MAX_FILE_BYTES = 1_000_000


class Scope(StrEnum):
    """What a token opens."""

    PLAY = "play"  # all that a game calls, but for ratings
    RATE = "rate"  # players' ratings
    ADMIN = "admin"  # adapters, promotion, the console


class Holder(Message):
    """Whoever holds a token, and what it lets them do."""

    name: Name
    scopes: frozenset[Scope] = Field(min_length=1)
    game_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{0,64}$")] = ""
    """The only game that they may act for; empty: any."""

    def may(self, scope: Scope, game_id: str = "") -> bool:
        """Whether they may do what `scope` opens, for the game `game_id` (empty: for none in particular)."""
        return scope in self.scopes and (not game_id or self.game_id in ("", game_id))


class Token(Holder):
    """A token as the file keeps it."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _File(Message):
    tokens: tuple[Token, ...] = ()


ANYBODY = Holder(name="anybody", scopes=frozenset(Scope))
"""The caller of a service on loopback that was given no token."""


class Tokens:
    """The tokens in force. Once there are any, there is no way back to letting anybody in but a restart."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError: the file of tokens can't be read."""
        self._path = settings.tokens_file
        self._own = _of_settings(settings.api_token.get_secret_value())
        self._stamp = _stamp(self._path)
        self._kept = read_tokens(self._path)
        self.open = not self._own and self._stamp is None
        """Anybody may come in: there is no token, on loopback alone (the settings see to that)."""

    def holder(self, token: str | bytes) -> Holder | None:
        """Whose token that is. All are compared, each in constant time, so that time tells nothing."""
        self._refresh()
        digest, found = _digest(token), None
        for kept in (*self._own, *self._kept):
            if hmac.compare_digest(kept.sha256, digest):
                found = kept
        return ANYBODY if self.open else found

    def may(self, token: str, scope: Scope, game_id: str = "") -> bool:
        """Whether a token opens `scope` for the game `game_id` (empty: for none in particular)."""
        holder = self.holder(token)
        return holder is not None and holder.may(scope, game_id)

    def authorize(self, header: str | bytes | None) -> Holder:
        """The holder of the token in an `authorization` header, `Bearer <token>`.

        Raises:
            Unauthorized: there is none, or nobody's.
        """
        given = header.encode("utf-8", "surrogateescape") if isinstance(header, str) else header or b""
        scheme, _, token = given.partition(b" ")
        holder = self.holder(token.strip() if scheme.lower() == b"bearer" else b"")
        if holder is None:
            raise Unauthorized(
                "authorization is missing or wrong: send `Authorization: Bearer <token>` with a token of "
                "`townsfolk tokens add`, or the one that the service was given as TOWNSFOLK_API_TOKEN"
            )
        return holder

    def _refresh(self) -> None:
        """Read the file again if it has changed; what can't be read lets nobody in."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp, self.open = stamp, False
        try:
            self._kept = read_tokens(self._path)
            log.info("%d token(s) are in force, as %s says now", len(self._kept), self._path)
        except ConfigError as error:
            self._kept = ()
            log.error("no token of the file is in force: %s", error)


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens in a file, none where there is no file.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return _File.model_validate_json(file.read(MAX_FILE_BYTES)).tokens
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        reason = error if isinstance(error, OSError) else f"{error.error_count()} fault(s) in it"
        raise ConfigError(
            f"file of tokens {path}: can't be read ({reason}): move it away and make the tokens anew with "
            "`townsfolk tokens add`"
        ) from error


def add_token(path: Path, holder: Holder) -> str:
    """Keep a new token's hash in the file and return the token, which can't be had a second time.

    Raises:
        InvalidRequest: the name is taken, or an operator's token is bound to a game.
        ConfigError: the file can't be read.
    """
    if holder.game_id and Scope.ADMIN in holder.scopes:
        raise InvalidRequest(f"scope admin is for all games: leave out that, or the game {holder.game_id!r}")
    token = _new_token()
    with _changing(path) as tokens:
        if any(kept.name == holder.name for kept in tokens):
            raise InvalidRequest(f"token {holder.name!r} is there already: take another name, or revoke it")
        tokens.append(Token(**holder.model_dump(), sha256=_digest(token)))
    return token


def revoke_token(path: Path, name: str) -> None:
    """Take a token out of the file. Raises UnknownName, ConfigError."""
    with _changing(path) as tokens:
        kept = [token for token in tokens if token.name != name]
        if len(kept) == len(tokens):
            raise UnknownName(f"no token {name!r} in {path}: `townsfolk tokens list` names them")
        tokens[:] = kept


class OwnToken:
    """What opens the console to whoever runs a service that has no tokens.

    It lies in clear, unlike the others: who can read this file could as well write that of the tokens.
    """

    holder = Holder(name="owner", scopes=frozenset({Scope.ADMIN}))

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self) -> None:
        """Make one, unless there is one. Raises ConfigError: it can't be written."""
        if self._path.exists():
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _write_private(self._path, _new_token() + "\n")
        except OSError as error:
            raise ConfigError(
                f"console.token_file {self._path}: can't be written ({error}): name another place, or make a "
                "token with `townsfolk tokens add`"
            ) from error

    def equals(self, token: str) -> bool:
        """Compared in constant time with what the file holds now; one that is gone or empty opens nothing."""
        try:
            own = self._path.read_bytes().strip()
        except OSError:
            return False
        return len(own) >= SHORTEST_TOKEN and hmac.compare_digest(_digest(own), _digest(token))


@contextmanager
def _changing(path: Path) -> Iterator[list[Token]]:
    """The file's tokens to be changed: written whole and private, one change at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        tokens = list(read_tokens(path))
        yield tokens
        _write_private(path, _File(tokens=tuple(tokens)).model_dump_json(indent=1) + "\n")


def _write_private(path: Path, text: str) -> None:
    """The file whole or not at all, for its owner's eyes alone."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _of_settings(token: str) -> tuple[Token, ...]:
    """The settings' own token opens everything."""
    if not token:
        return ()
    return (Token(name="TOWNSFOLK_API_TOKEN", scopes=frozenset(Scope), sha256=_digest(token)),)


def _new_token() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _digest(token: str | bytes) -> str:
    data = token if isinstance(token, bytes) else token.encode("utf-8", "surrogateescape")
    return hashlib.sha256(data).hexdigest()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes whenever the file does; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
