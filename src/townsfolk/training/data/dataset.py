"""Authored exchanges -> a dataset: variants, groups, a split that no near-copy crosses, a content hash.

group    near-copies find each other; so do the variants of one exchange
split    by the group's hash: exchanges added later move no others, unless they join two groups
write    train.jsonl, held_out.jsonl, manifest.json
"""

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from townsfolk.errors import ConfigError
from townsfolk.training.data.exchange import Exchange
from townsfolk.training.data.names import Names
from townsfolk.training.data.rows import HELD_OUT, MANIFEST, TRAIN, DataRow, write_rows
from townsfolk.training.data.vary import varied
from townsfolk.types import fill, words

SCHEMA = 1
NEAR_COPY = 0.7
"""Jaccard similarity of word pairs from which two exchanges are one for the split (Broder, 1997)."""
HELD_OUT_SHARE = 0.1
PLAYERS = ("sam", "mia", "tom", "Ada", "jo_9", "wren", "Kai", "bob2", "lena", "Rufus", "ivy", "max_power")
VILLAGERS = ("Odo", "Elara", "Bram", "Greta", "Wilm", "Ida", "Tarn", "Nell")


@dataclass(frozen=True)
class Recipe:
    """What a dataset is made with."""

    seed: int = 0
    variants: int = 4
    """Of each exchange to learn from, the exchange as it was written among them."""


def build_dataset(
    exchanges: Mapping[str, Sequence[Exchange]], names: Names, recipe: Recipe, folder: Path
) -> dict[str, object]:
    """Write the dataset of all personas' `exchanges` to `folder`, which must be new or empty.

    Returns:
        its manifest: counts and the content hash.

    Raises:
        ConfigError: the folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: datasets are never overwritten; give a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    train: list[DataRow] = []
    held_out: list[DataRow] = []
    for persona, own in sorted(exchanges.items()):
        for exchange, group in zip(own, groups(persona, own), strict=True):
            if _is_held_out(group, recipe.seed):
                held_out.append(_row(exchange, persona, group, names, recipe.seed, 0))
            else:
                train += [
                    _row(exchange, persona, group, names, recipe.seed, n) for n in range(recipe.variants)
                ]
    train = _without_copies(train)
    return _write(folder, recipe, {TRAIN: train, HELD_OUT: held_out})


def groups(persona: str, exchanges: Sequence[Exchange]) -> list[str]:
    """A group for each exchange; near-copies, also through others, share one."""
    parent = list(range(len(exchanges)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    pairs = [_word_pairs(f"{it.said} {it.reply}") for it in exchanges]
    seen: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, own in enumerate(pairs):
        shared = Counter(other for pair in own for other in seen[pair])
        for other, count in shared.items():
            if count >= NEAR_COPY * len(own | pairs[other]):
                parent[root(index)] = root(other)
        for pair in own:
            seen[pair].append(index)
    return [f"{persona}/{_short_hash(exchanges[root(index)])}" for index in range(len(exchanges))]


def _word_pairs(text: str) -> frozenset[tuple[str, str]]:
    return frozenset(itertools.pairwise(["", *words(text)]))


def _short_hash(exchange: Exchange) -> str:
    return hashlib.sha256(exchange.model_dump_json().encode()).hexdigest()[:16]


def _is_held_out(group: str, seed: int) -> bool:
    """Decided by the group alone: rows that are added later do not move the others."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}/{group}".encode()).digest()[:8])
    return drawn < HELD_OUT_SHARE * 2**64


def _row(exchange: Exchange, persona: str, group: str, names: Names, seed: int, variant: int) -> DataRow:
    """Variant 0 is the exchange as it was written; who speaks with whom is drawn for all."""
    own = _short_hash(exchange)
    random = Random(f"{seed}/{own}/{variant}")  # noqa: S311 - data, no secret
    if variant:
        exchange = varied(exchange, names, random)
    player, villager = (_unheard_of(names, exchange, random) for names in (PLAYERS, VILLAGERS))
    act = f"[[ACTION:{exchange.act}]] " if exchange.act else ""
    speech = "" if exchange.punched else exchange.reply  # a blow is answered by what one does
    return DataRow(
        id=f"{persona}/{own}#{variant}",
        persona=persona,
        source="authored",
        group=group,
        observation=exchange.observation(persona, names, name=villager, player=player),
        remembers=exchange.remembers,
        reply=fill(act + speech, player=player, name=villager).rstrip(),
    )


def _unheard_of(names: Sequence[str], exchange: Exchange, random: Random) -> str:
    """One of `names` that nobody in the exchange bears or speaks of."""
    heard = {*words(exchange.model_dump_json())}
    return random.choice([name for name in names if not {*words(name)} & heard])


def _without_copies(rows: Iterable[DataRow]) -> list[DataRow]:
    """Rows that say and show the same count once."""
    unique = {(row.persona, row.scene(), row.reply): row for row in rows}
    return list(unique.values())


def _write(folder: Path, recipe: Recipe, files: Mapping[str, Sequence[DataRow]]) -> dict[str, object]:
    hashes = {name: write_rows(folder / name, rows) for name, rows in files.items()}
    manifest: dict[str, object] = {
        "schema": SCHEMA,
        "hash": hashlib.sha256("".join(hashes[name] for name in sorted(hashes)).encode()).hexdigest(),
        "seed": recipe.seed,
        "variants": recipe.variants,
        "files": {
            name: {"rows": len(rows), "sha256": hashes[name], "personas": Counter(it.persona for it in rows)}
            for name, rows in files.items()
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest
