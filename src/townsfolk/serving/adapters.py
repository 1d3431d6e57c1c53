"""Which adapter each villager of a persona is served with, by content hash."""

import hashlib
import logging
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from townsfolk.agents import unaided
from townsfolk.engine import AdapterInfo, Engine
from townsfolk.errors import AdapterError, StoreError, UnknownName
from townsfolk.feedback.store import Store
from townsfolk.personas import PersonaLibrary
from townsfolk.types import AdapterFault, AdapterList, AdapterVersion, Persona

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where an adapter is to be read from, and which it has to be (empty: whatever is there)."""

    folder: Path
    version: str = ""


@dataclass(frozen=True)
class Asked:
    """What a persona is to be served with: the first of `live` that can be read, and a share with `trial`."""

    live: Sequence[Source] = ()
    trial: Source | None = None
    share: float = 0


@dataclass(frozen=True)
class Served:
    """What a persona is served with; None: the base model alone.

    Attributes:
        trial: what `share` of the villagers have instead.
    """

    live: AdapterInfo | None = None
    trial: AdapterInfo | None = None
    share: float = 0

    def __iter__(self) -> Iterator[AdapterInfo]:
        return iter([info for info in (self.live, self.trial) if info])

    def to(self, who: str) -> AdapterInfo | None:
        """What villager `who` has: the same as long as the trial lasts."""
        return self.trial if self.trial and _drawn(self.trial, who) < self.share else self.live

    @property
    def most(self) -> AdapterInfo | None:
        """What most villagers have."""
        return self.trial if self.trial and self.share > 0.5 else self.live


NOTHING = Served()


def as_served(persona: Persona, adapter: str | None) -> Persona:
    """The persona; unaided where it has an adapter."""
    return unaided(persona) if adapter else persona


class AdapterShelf:
    """Persona -> adapter. A persona without one is served by the base model alone.

    An adapter that was replaced stays loaded until the next change: a turn that has just named it finds it.

    Thread-safe. What changes it and `listing` wait for each other: call them off the event loop.
    """

    def __init__(
        self,
        engine: Engine,
        library: PersonaLibrary,
        dirs: Sequence[Path],
        store: Store,
        pinned: Collection[str] = (),
    ) -> None:
        """Args: pinned: personas whose adapters keep their slots in the engine."""
        self._engine, self._library, self._store = engine, library, store
        self._dirs, self._pinned = (*dirs, *library.folders.values()), pinned
        self._asked: dict[str, Asked] = {}
        self._shed: set[str] = set()  # personas whose adapters were let go, though they are asked for
        self._served: dict[str, Served] = {}
        self._replaced: dict[str, Served] = {}  # persona -> what it was served with before
        self._faults: dict[str, str] = {}
        self._changing = threading.Lock()

    def load(self, name: str, folder: Path) -> AdapterVersion:
        """Make the adapter in `folder` the one that persona `name` is served with from its next turn on.

        Raises:
            UnknownName: there is no such persona.
            AdapterError: says what is wrong; the persona keeps the adapter it had.
            StoreError: it serves, but that could not be recorded.
        """
        self._library.get(name)
        with self._changing:
            try:
                info = self._read(Source(folder))
            except AdapterError as error:
                self._faults[name] = str(error)
                raise
            self._faults.pop(name, None)
            self._ask(name, Asked([Source(folder, info.content_hash)]))
            self._change(name, Served(info))
        return _version(name, info)

    def serve(self, name: str, live: Sequence[Source], trial: Source | None = None, share: float = 0) -> None:
        """Serve the persona with the first of `live` that can be read, and a share of it with `trial`.

        What can't be read is told and kept among the faults.

        Raises:
            StoreError: it serves, but that could not be recorded.
        """
        with self._changing:
            self._ask(name, Asked(live, trial, share))
            self._serve(name)

    def check(self, source: Source) -> None:
        """Raises AdapterError: it can't be served; says what is wrong."""
        with self._changing:
            info = self._read(source)
            self._let_go([info])

    def unload(self, name: str) -> None:
        """Serve the persona by the base model again. Raises UnknownName if it has no adapter."""
        with self._changing:
            if not any(self._served.get(name, NOTHING)) and name not in self._shed:
                loaded = ", ".join(name for name, served in self._served.items() if any(served)) or "none"
                raise UnknownName(f"persona {name!r} has no adapter loaded; loaded are: {loaded}")
            self._ask(name, Asked())
            self._change(name, NOTHING)

    def shed(self) -> str:
        """Let go of a persona's adapters, those that were replaced among them; whose, empty: there are none.

        Those that are pinned go last. `take_back` has them served again.
        """
        with self._changing:
            held = {name for name in (*self._served, *self._replaced) if self._holds(name)}
            name = min(held, key=lambda name: (name in self._pinned, name), default="")
            if name:
                self._change(name, NOTHING)
                self._change(name, NOTHING)  # nor what it was replaced by
                self._shed.add(name)
            return name

    def take_back(self) -> list[str]:
        """Read again, from where they were, the adapters that were shed; gives their personas."""
        with self._changing:
            names, self._shed = sorted(self._shed), set()
            for name in names:
                try:
                    self._serve(name)
                except StoreError as error:
                    log.error("persona %s has its adapter back, but that is not recorded: %s", name, error)
            return names

    def is_shed(self, persona: str) -> bool:
        """Whether the persona goes without its adapters until there is room again."""
        return persona in self._shed

    def hash_of(self, persona: str, who: str = "") -> str | None:
        """What the persona's villager `who` is served with."""
        info = self._served.get(persona, NOTHING).to(who)
        return info.content_hash if info else None

    @property
    def faulty(self) -> int:
        """How many personas have an adapter that can't be served."""
        return len(self._faults)

    def served(self, persona: str) -> Served:
        """What the persona is served with."""
        return self._served.get(persona, NOTHING)

    def live_hash(self, persona: str) -> str | None:
        """What those are served with that have nothing on trial."""
        info = self._served.get(persona, NOTHING).live
        return info.content_hash if info else None

    def serves(self, persona: str, content_hash: str) -> bool:
        """Whether some of the persona's villagers are served with that adapter."""
        return any(info.content_hash == content_hash for info in self._served.get(persona, NOTHING))

    def openings(self, persona: str) -> dict[str | None, str | None]:
        """Adapters that the persona is served with -> what to prefill its opening with.

        One that is activated later leaves the opening to the base model.
        """
        served = self._served.get(persona, NOTHING)
        infos = {served.live, served.trial} if served.trial else {served.live}
        return {
            info.content_hash if info else None: info.content_hash if info and not info.activated else None
            for info in infos
        }

    def listing(self) -> AdapterList:
        with self._changing:
            infos = {info.content_hash: info for info in self._engine.adapters()}
            served, faults = sorted(self._served.items()), sorted(self._faults.items())
        return AdapterList(
            adapters=tuple(_version(name, infos[info.content_hash]) for name, own in served for info in own),
            faults=tuple(AdapterFault(name=name, reason=reason) for name, reason in faults),
        )

    def _holds(self, name: str) -> bool:
        return any(self._served.get(name, NOTHING)) or any(self._replaced.get(name, NOTHING))

    def _ask(self, name: str, asked: Asked) -> None:
        self._asked[name] = asked
        self._shed.discard(name)

    def _serve(self, name: str) -> None:
        self._faults.pop(name, None)
        asked = self._asked.get(name, Asked())
        live = next((info for source in asked.live if (info := self._try(name, source))), None)
        trial = self._try(name, asked.trial) if asked.trial else None
        self._change(name, Served(live, trial, asked.share))

    def _try(self, name: str, source: Source) -> AdapterInfo | None:
        try:
            return self._read(source)
        except AdapterError as error:
            self._faults.setdefault(name, str(error))
            log.warning("persona %s is served without one of its adapters: %s", name, error)
            return None

    def _read(self, source: Source) -> AdapterInfo:
        info = self._engine.load_adapter(source.folder, self._dirs)
        if source.version and info.content_hash != source.version:
            self._let_go([info])
            raise AdapterError(
                f"adapter {source.folder}: is {info.content_hash[:16]} but was {source.version[:16]} when it "
                "was added: it was changed on the disk; add it again from where it was trained"
            )
        return info

    def _change(self, name: str, served: Served) -> None:
        """Serve the persona so from now on, and let go what it was served with before the last change."""
        gone = self._replaced.get(name, NOTHING)
        self._replaced[name] = self._served.get(name, NOTHING)
        self._served[name] = served  # in one step: turns ask `hash_of` meanwhile
        mostly = [own.most for pinned in self._pinned if (own := self._served.get(pinned))]
        self._engine.pin_adapters({info.content_hash for info in mostly if info})
        self._let_go(gone)
        for info in served:
            self._store.record_adapter(
                _version(name, info)
            )  # here, so that rows come in the order of changes

    def _let_go(self, infos: Collection[AdapterInfo] | Served) -> None:
        """Unload those that no persona is served with; personas may share one."""
        in_use = (*self._served.values(), *self._replaced.values())
        held = {info.content_hash for served in in_use for info in served}
        for content_hash in {info.content_hash for info in infos} - held:
            self._engine.unload_adapter(content_hash)


def _drawn(trial: AdapterInfo, who: str) -> float:
    """0 to 1, by version and villager alone: each trial has villagers of its own."""
    digest = hashlib.sha256(f"{trial.content_hash}/{who}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _version(name: str, info: AdapterInfo) -> AdapterVersion:
    return AdapterVersion(
        name=name,
        content_hash=info.content_hash,
        rank=info.rank,
        size_bytes=info.size_bytes,
        resident=info.resident,
        base_hash=info.base_hash,
    )
