"""Authored exchanges and other rows -> a dataset: variants, a split no near-copy crosses, a content hash.

group    near-copies find each other; so do the variants of one exchange, and all rows of one player
split    by the group's hash: exchanges added later move no others, unless they join two groups
write    train.jsonl, held_out.jsonl, manifest.json
"""

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from townsfolk.errors import ConfigError
from townsfolk.training.data.exchange import Exchange
from townsfolk.training.data.names import Names
from townsfolk.training.data.orders import Lists, Voice, group_of, order
from townsfolk.training.data.rows import HELD_OUT, MANIFEST, TRAIN, DataRow, write_rows
from townsfolk.training.data.vary import varied
from townsfolk.types import ActionSpec, Persona, fill, words
from townsfolk.types.stand_ins import STAND_INS

SCHEMA = 2
NEAR_COPY = 0.7
"""Jaccard similarity of word pairs from which two exchanges are one for the split (Broder, 1997)."""
HELD_OUT_SHARE = 0.1
Pair = tuple[str, str]
Sides = dict[str, list[DataRow]]
"""File of a dataset -> its rows."""
VILLAGERS = ("Odo", "Elara", "Bram", "Greta", "Wilm", "Ida", "Tarn", "Nell")


@dataclass(frozen=True)
class Recipe:
    """What a dataset is made with."""

    seed: int = 0
    variants: int = 4
    """Of each exchange to learn from, the exchange as it was written among them."""
    sources: tuple[str, ...] = ("authored",)
    """Where the rows are from, as they were asked for."""


@dataclass(frozen=True)
class Orders:
    """Ways to ask for actions, and what decides whether they can be done."""

    phrases: Lists
    deflections: Lists
    personas: Mapping[str, Persona]
    actions: Sequence[ActionSpec]

    def ways(self) -> Iterator[tuple[str, str]]:
        """Each (inside of a tag, phrase)."""
        return ((act, phrase) for act, phrases in self.phrases.items() for phrase in phrases)


def build_dataset(
    exchanges: Mapping[str, Sequence[Exchange]],
    names: Names,
    recipe: Recipe,
    folder: Path,
    others: Iterable[DataRow] = (),
    orders: Orders | None = None,
) -> dict[str, object]:
    """Write the dataset of all personas' `exchanges` and of `others` to `folder`, which must be new or empty.

    Those of the others go that near-copy what lies on the other side of the split.

    Args:
        orders: asked of every persona in scenes that are drawn.

    Returns:
        its manifest: counts and the content hash.

    Raises:
        ConfigError: the folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: datasets are never overwritten; give a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    sides: Sides = {TRAIN: [], HELD_OUT: []}
    grouped = groups(exchanges)
    for persona, own in sorted(exchanges.items()):
        learnt = []
        for exchange, group in zip(own, grouped[persona], strict=True):
            held_out = _is_held_out(group, recipe.seed)
            side, variants = (HELD_OUT, 1) if held_out else (TRAIN, recipe.variants)
            sides[side] += [
                _row(exchange, persona, group, names, recipe.seed, variant) for variant in range(variants)
            ]
            learnt += [] if held_out else [exchange]
        if orders:
            _add_orders(sides, orders, persona, {TRAIN: learnt, HELD_OUT: own}, names, recipe)
    sides[HELD_OUT] = _unheard_before(sides)
    _add_others(sides, others, recipe.seed)
    return _write(folder, recipe, {side: _without_copies(rows) for side, rows in sides.items()})


def _add_orders(
    sides: Sides,
    orders: Orders,
    persona: str,
    answers: Mapping[str, Sequence[Exchange]],
    names: Names,
    recipe: Recipe,
) -> None:
    """Rows of each way to ask, on the side of its group; `answers`: side -> exchanges to answer as in."""
    deflections = orders.deflections.get(persona, ())
    for side, variants in ((TRAIN, recipe.variants), (HELD_OUT, 1)):
        voice = Voice(orders.personas[persona], answers[side], deflections, names, orders.actions)
        for act, phrase in orders.ways():
            group = group_of(act, phrase)
            if _is_held_out(group, recipe.seed) != (side == HELD_OUT):
                continue
            for variant in range(variants):
                random = Random(f"{recipe.seed}/{group}/{persona}/{variant}")  # noqa: S311 - data, no secret
                if asked := order(voice, act, phrase, random):
                    row = _row(asked, persona, group, names, recipe.seed, 0)
                    sides[side].append(row.model_copy(update={"adverse": not act}))


def _unheard_before(sides: Sides) -> list[DataRow]:
    """Held-out rows in words that no learnt row of any persona has, and near-copies of none of its own.

    Groups part exchanges, and ways to ask; an order may still say what an exchange says.
    """
    learnt, asked = _gists(sides[TRAIN]), {tuple(words(row.heard())) for row in sides[TRAIN]} - {()}
    return [
        row
        for row in sides[HELD_OUT]
        if tuple(words(row.heard())) not in asked and not learnt.of(row.persona, row.gist())
    ]


def _add_others(sides: Sides, others: Iterable[DataRow], seed: int) -> None:
    """Each row of `others` to the side of its group, unless it near-copies a row of the other side."""
    seen = {side: _gists(rows) for side, rows in sides.items()}
    for row in sorted(others, key=lambda row: row.id):
        side, other = (HELD_OUT, TRAIN) if _is_held_out(row.group, seed) else (TRAIN, HELD_OUT)
        if not seen[other].of(row.persona, row.gist()):
            seen[side].add(row.persona, row.gist())
            sides[side].append(row)


def groups(exchanges: Mapping[str, Sequence[Exchange]]) -> dict[str, list[str]]:
    """Persona -> a group for each of its exchanges.

    Near-copies of a persona share one, also through others; so do all personas' exchanges that begin with the
    same words of a player: an adapter can go on from one that learnt of all.
    """
    everything = [(persona, it) for persona, own in sorted(exchanges.items()) for it in own]
    parent = list(range(len(everything)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    seen = NearCopies()
    first: dict[tuple[str, ...], int] = {}
    for index, (persona, it) in enumerate(everything):
        text, said = f"{it.said} {it.reply}", tuple(words(it.said))
        for other in [*seen.of(persona, text), first.setdefault(said, index) if said else index]:
            parent[root(index)] = root(other)
        seen.add(persona, text)
    found: dict[str, list[str]] = {persona: [] for persona in exchanges}
    for index, (persona, _) in enumerate(everything):
        origin, it = everything[root(index)]
        found[persona].append(f"{origin}/{_short_hash(it)}")
    return found


class NearCopies:
    """Finds the texts of a persona that say nearly the same as one, by an inverted index of word pairs."""

    def __init__(self) -> None:
        self._pairs: list[frozenset[Pair]] = []
        self._having: dict[tuple[str, Pair], list[int]] = defaultdict(list)

    def add(self, persona: str, text: str) -> None:
        """Add a text; the first is number 0."""
        pairs = _word_pairs(text)
        for pair in pairs:
            self._having[persona, pair].append(len(self._pairs))
        self._pairs.append(pairs)

    def of(self, persona: str, text: str) -> list[int]:
        """Numbers of the texts that `text` near-copies."""
        pairs = _word_pairs(text)
        shared = Counter(other for pair in pairs for other in self._having[persona, pair])
        return [
            other for other, count in shared.items() if count >= NEAR_COPY * len(pairs | self._pairs[other])
        ]


def _gists(rows: Iterable[DataRow]) -> NearCopies:
    """What near-copies of `rows` are found by."""
    found = NearCopies()
    for row in rows:
        found.add(row.persona, row.gist())
    return found


def _word_pairs(text: str) -> frozenset[Pair]:
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
    player, villager = (_unheard_of(names, exchange, random) for names in (STAND_INS, VILLAGERS))
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
    """Rows that say and show the same, and were judged alike, count once."""
    unique = {(row.persona, row.scene(), row.reply, row.reward): row for row in rows}
    return list(unique.values())


def _write(folder: Path, recipe: Recipe, files: Mapping[str, Sequence[DataRow]]) -> dict[str, object]:
    hashes = {name: write_rows(folder / name, rows) for name, rows in files.items()}
    manifest: dict[str, object] = {
        "schema": SCHEMA,
        "hash": hashlib.sha256("".join(hashes[name] for name in sorted(hashes)).encode()).hexdigest(),
        "recipe": {**asdict(recipe), "sources": list(recipe.sources)},
        "files": {
            name: {"rows": len(rows), "sha256": hashes[name], **counts(rows)} for name, rows in files.items()
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def counts(rows: Sequence[DataRow]) -> dict[str, dict[str, int]]:
    """How many rows there are of each persona, source, action and label."""
    return {
        "personas": _tally(row.persona for row in rows),
        "sources": _tally(row.source for row in rows),
        "actions": _tally(row.action() or "speech alone" for row in rows),
        "labels": _tally(row.label() for row in rows),
    }


def _tally(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda found: (-found[1], found[0])))
