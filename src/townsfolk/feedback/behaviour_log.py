"""The behaviour log: one JSON line per proposed action and per outcome, for people and `grep`.

It is written beside the store and rotated by size; the store is what counts. Everything beyond
ASCII is escaped, so whatever a player wrote, a line stays one line.
"""

import json
import logging
import re
import time
from collections.abc import Iterable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from townsfolk.disk import drop_lines
from townsfolk.errors import StoreError
from townsfolk.types import ForgetPlayer, Outcome, Turn

MAX_BYTES = 10_000_000
OLD_FILES = 5


class BehaviourLog:
    """Appends to `path`; at `max_bytes` it becomes `path.1`, and so on up to `old_files`.

    Raises:
        StoreError: the file can't be written.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, old_files: int = OLD_FILES) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = RotatingFileHandler(
                path, maxBytes=max_bytes, backupCount=old_files, encoding="ascii"
            )
        except OSError as error:
            raise StoreError(
                f"behaviour log {path} can't be written: {error}; set store.behaviour_log"
            ) from error
        self._file.setFormatter(logging.Formatter("%(message)s"))

    def proposed(self, turn: Turn) -> None:
        """The actions of a turn, each with policy's verdict: `allowed` or `refused`."""
        for action, verdict in zip(turn.actions, turn.verdicts, strict=True):
            self._write(
                turn_id=turn.turn_id,
                game=turn.game_id,
                villager=turn.villager_id,
                persona=turn.persona,
                action=action.tag(),
                verdict="allowed" if verdict.allowed else "refused",
                rule=verdict.rule,
                reason=verdict.reason,
            )

    def told(self, game_id: str, persona: str, outcomes: Iterable[Outcome]) -> None:
        """What became of actions in the game: `done`, `refused` or `failed`, by the rule `game`."""
        for outcome in outcomes:
            self._write(
                turn_id=outcome.turn_id,
                game=game_id,
                villager=outcome.villager_id,
                persona=persona,
                action=outcome.action,
                verdict=outcome.verdict,
                rule=outcome.rule or "game",
                reason=outcome.reason,
            )

    def forget(self, gone: ForgetPlayer) -> None:
        """Drop the lines that name a player who is forgotten, from the older files too.

        Raises:
            StoreError: a file can't be read or replaced.
        """
        path = Path(self._file.baseFilename)
        self._file.acquire()
        try:
            self._file.close()  # the next line opens it again
            for file in (path, *path.parent.glob(f"{path.name}.[0-9]*")):
                drop_lines(file, lambda told: _names(told, gone))
        except OSError as error:
            raise StoreError(f"behaviour log {path} still names a forgotten player: {error}") from error
        finally:
            self._file.release()

    def close(self) -> None:
        self._file.close()

    def _write(self, **fields: str) -> None:
        line = json.dumps({"time": round(time.time(), 3), **fields})
        self._file.handle(logging.makeLogRecord({"msg": "%s", "args": (line,)}))


def _names(told: dict[str, Any], gone: ForgetPlayer) -> bool:
    name = rf"(?<![\w-]){re.escape(gone.player)}(?![\w-])"
    return told["game"] == gone.game_id and bool(re.search(name, f"{told['action']} {told['reason']}"))
