"""What a game's things are called and what villagers can do: `data/names`, read from running servers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from townsfolk.errors import ConfigError
from townsfolk.types import ActionSpec, faults_told, words

ACTIONS_FILE = "actions.json"
"""Of the same folder: the registry with which the mod greets the service."""
NOTABLE_FILE = "notable.json"
"""Of the same folder: the nodes that the mod tells of by default."""

EVERYDAY = frozenset(
    words("""
        a and big black block blue bone book bottom brown common cyan dark day desert dry empty face fancy
        fire flow flowing good grass green grey ground high home hot in inner key large leaf leave light low
        lump magenta night of off old on orange outer paper piece pine pink power powered red river rose
        salt sand seed simple skeleton slab small snow source spawn stair tall the thin top trap violet wall
        water white wild with yellow
    """)
)
"""Words of titles that everyday speech has too."""


@dataclass(frozen=True)
class Names:
    """What things are called (name -> title), which creatures are hostile, which nodes are noticed."""

    titles: Mapping[str, str]
    hostile: frozenset[str]
    notable: frozenset[str] = frozenset()

    @cached_property
    def words(self) -> frozenset[str]:
        """Words that only the game's things have."""
        return frozenset(word for title in self.titles.values() for word in words(title)) - EVERYDAY


def read_names(folder: Path) -> Names:
    """All files of `folder`: JSON objects, name -> title or {title, hostile}; and the list of notable nodes.

    Raises:
        ConfigError: no such folder, or a file that can't be read.
    """
    titles: dict[str, str] = {}
    hostile = set()
    notable = folder / NOTABLE_FILE
    for file in sorted(set(folder.glob("*.json")) - {folder / ACTIONS_FILE, notable}):
        for name, entry in _read(file).items():
            titles[name] = entry if isinstance(entry, str) else entry["title"]
            if isinstance(entry, dict) and entry["hostile"]:
                hostile.add(name)
    if not titles:
        raise ConfigError(f"{folder}: no names there: give the folder that holds minetest_game.json")
    return Names(titles, frozenset(hostile), frozenset(_read(notable)))


def read_actions(folder: Path) -> tuple[ActionSpec, ...]:
    """The actions in `folder`'s `actions.json`: what `Game.actions` is when the mod connects.

    Raises:
        ConfigError: no such file, or one that holds other than actions.
    """
    file = folder / ACTIONS_FILE
    try:
        return TypeAdapter(tuple[ActionSpec, ...]).validate_python(_read(file))
    except ValidationError as error:
        told = "; ".join(faults_told(error))
        raise ConfigError(f"{file}: {told}: write it anew by scripts/names") from error


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: can't be read: {error}") from error
