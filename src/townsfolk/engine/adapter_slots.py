"""Which adapters requests may name, and which of them have one of the runner's slots.

A loaded adapter stays laid out in memory until it is unloaded; slots bound how many different ones a pass may
mix. Pinned adapters keep theirs, the others take turns: the least recently used makes way. It refuses to
know how adapters are computed.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from townsfolk.engine.kv import BASE_ALONE, Origin
from townsfolk.engine.runner import LaidOut
from townsfolk.errors import AdapterError


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter in the form that the runner wants."""

    content_hash: str
    rank: int
    size_bytes: int  # of its weights
    invocation: tuple[int, ...]
    """Tokens that activate it; (): it applies from the start."""
    weights: LaidOut

    def starts_at(self, prompt: Sequence[int]) -> int | None:
        """Position in `prompt` from which it applies, None if it does not: as PEFT has it.

        An activated adapter applies from the first token of the last occurrence of its invocation on, and to
        the whole reply; without an occurrence the base model alone answers.
        """
        sought = list(self.invocation)
        starts = range(len(prompt) - len(sought), -1, -1) if sought else [0]
        return next((n for n in starts if list(prompt[n : n + len(sought)]) == sought), None)


@dataclass(frozen=True)
class AdapterUse:
    """What a sequence is computed with: the base model, `adapter` added from position `start` on."""

    adapter: LoadedAdapter | None = None
    start: int = 0

    @property
    def origin(self) -> Origin:
        return Origin(self.adapter.content_hash, self.start) if self.adapter else BASE_ALONE


class AdapterSlots:
    """Loaded adapters by content hash, in a fixed number of slots. Not thread-safe: the engine has a lock."""

    def __init__(self, count: int) -> None:
        self._loaded: dict[str, LoadedAdapter] = {}
        self._pinned: frozenset[str] = frozenset()
        self._slots: list[LoadedAdapter | None] = [None] * count
        self._recent: list[str] = []  # content hashes, the latest used last

    @property
    def loaded(self) -> tuple[LoadedAdapter, ...]:
        return tuple(self._loaded.values())

    @property
    def resident(self) -> tuple[LoadedAdapter | None, ...]:
        """Adapter of each slot."""
        return tuple(self._slots)

    def load(self, adapter: LoadedAdapter) -> None:
        """Let requests name it; a copy of it that is loaded, or still has a slot, serves instead."""
        resident = {other.content_hash: other for other in self._slots if other}
        name = adapter.content_hash
        self._loaded.setdefault(name, resident.get(name, adapter))

    def get(self, content_hash: str) -> LoadedAdapter:
        """Raises AdapterError if it is not loaded."""
        if content_hash not in self._loaded:
            raise AdapterError(f"adapter {content_hash!r} is not loaded: load it first")
        return self._loaded[content_hash]

    def use(self, content_hash: str | None, prompt: Sequence[int]) -> AdapterUse:
        """How an adapter applies to `prompt` and its reply. Raises AdapterError if it is not loaded."""
        adapter = None if content_hash is None else self.get(content_hash)
        start = adapter.starts_at(prompt) if adapter else None
        return AdapterUse() if start is None else AdapterUse(adapter, start)

    def unload(self, content_hash: str) -> None:
        """No request may name it any more; its slot is cleared before the next pass that does not use it."""
        self.get(content_hash)
        del self._loaded[content_hash]
        self._pinned -= {content_hash}

    def pin(self, content_hashes: Collection[str]) -> None:
        """Let these, and no others, keep their slots.

        Raises:
            AdapterError: one is not loaded, or no slot would be left for the others.
        """
        pinned = frozenset(self.get(content_hash).content_hash for content_hash in content_hashes)
        if len(pinned) >= len(self._slots):
            raise AdapterError(
                f"{len(pinned)} adapters to pin, but one of the {len(self._slots)} slots must stay free: pin "
                "fewer, or raise engine.adapter_slots"
            )
        self._pinned = pinned

    def fit(self, content_hashes: Collection[str]) -> bool:
        """Whether one pass can use all of these, while the pinned ones keep their slots."""
        return len(self._pinned.union(content_hashes)) <= len(self._slots)

    def place(self, needed: Iterable[LoadedAdapter]) -> bool:
        """Give each of `needed` a slot, which must `fit`, and the pinned ones; True if the slots changed."""
        before = self.resident
        wanted = {adapter.content_hash: adapter for adapter in needed}
        wanted |= {content_hash: self._loaded[content_hash] for content_hash in self._pinned}
        self._clear_unloaded(wanted)
        others = [name for name in self._recent if name not in wanted and self.slot(name) is not None]
        self._recent = others + list(wanted)
        for adapter in wanted.values():
            if self.slot(adapter.content_hash) is None:
                self._slots[self._free_slot()] = adapter
        return self.resident != before

    def slot(self, content_hash: str) -> int | None:
        """Where an adapter is, None if nowhere."""
        return next((n for n, a in enumerate(self._slots) if a and a.content_hash == content_hash), None)

    def _clear_unloaded(self, wanted: Collection[str]) -> None:
        """Requests under way may still want an adapter that was unloaded; else its memory goes."""
        kept = {*wanted, *self._loaded}
        self._slots = [
            adapter if adapter and adapter.content_hash in kept else None for adapter in self._slots
        ]

    def _free_slot(self) -> int:
        ages = [
            -1 if adapter is None else self._recent.index(adapter.content_hash) for adapter in self._slots
        ]
        return ages.index(min(ages))
