"""Which adapter each persona is served with, by content hash."""

import logging
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

from townsfolk.agents import unaided
from townsfolk.engine import AdapterInfo, Engine
from townsfolk.errors import AdapterError, UnknownName
from townsfolk.feedback.store import Store
from townsfolk.personas import PersonaLibrary
from townsfolk.types import AdapterFault, AdapterList, AdapterVersion, Persona

log = logging.getLogger(__name__)


class AdapterShelf:
    """Persona -> adapter. A persona without one is served by the base model alone.

    An adapter that was replaced stays loaded until the next change: a turn that has just named it finds it.

    Thread-safe. `load`, `unload` and `listing` wait for each other: call them off the event loop.
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
        self._live: dict[str, AdapterInfo] = {}
        self._replaced: dict[str, AdapterInfo] = {}  # persona -> what it was served with before
        self._faults: dict[str, str] = {}
        self._changing = threading.Lock()

    def load_all(self) -> None:
        """Load what the personas' folders hold; a fault is told and kept, the others go on."""
        for name in self._library.personas:
            folder = self._library.adapter_folder(name)
            if folder:
                try:
                    self.load(name, folder)
                except AdapterError as error:
                    log.warning("persona %s is served without its adapter: %s", name, error)

    def load(self, name: str, folder: Path) -> AdapterVersion:
        """Make the adapter in `folder` the one that persona `name` is served with from its next turn on.

        Raises:
            UnknownName: there is no such persona.
            AdapterError: says what is wrong; the persona keeps the adapter it had.
            StoreError: it serves, but that could not be recorded.
        """
        self._library.get(name)
        with self._changing:
            version = self._swap_in(name, folder)
            self._store.record_adapter(version)  # here, so that rows come in the order of the swaps
        return version

    def _swap_in(self, name: str, folder: Path) -> AdapterVersion:
        try:
            info = self._engine.load_adapter(folder, self._dirs)
        except AdapterError as error:
            self._faults[name] = str(error)
            raise
        self._faults.pop(name, None)
        self._change(name, info)
        return _version(name, info)

    def unload(self, name: str) -> None:
        """Serve the persona by the base model again. Raises UnknownName if it has no adapter."""
        with self._changing:
            if name not in self._live:
                raise UnknownName(
                    f"persona {name!r} has no adapter loaded; loaded are: {', '.join(self._live) or 'none'}"
                )
            self._change(name, None)

    def hash_of(self, persona: str) -> str | None:
        info = self._live.get(persona)
        return info.content_hash if info else None

    def as_served(self, persona: Persona) -> Persona:
        """The persona; unaided where it has an adapter."""
        return unaided(persona) if persona.name in self._live else persona

    def hash_for_opening(self, persona: str) -> str | None:
        """What to prefill the persona's opening with: one that is activated later leaves it to the base."""
        info = self._live.get(persona)
        return info.content_hash if info and not info.activated else None

    def listing(self) -> AdapterList:
        with self._changing:
            infos = {info.content_hash: info for info in self._engine.adapters()}
            live, faults = sorted(self._live.items()), sorted(self._faults.items())
        return AdapterList(
            adapters=tuple(_version(name, infos[info.content_hash]) for name, info in live),
            faults=tuple(AdapterFault(name=name, reason=reason) for name, reason in faults),
        )

    def _change(self, name: str, info: AdapterInfo | None) -> None:
        """Serve the persona with `info` from now on, and let go what it was served with before the last."""
        before, gone = self._live.get(name), self._replaced.pop(name, None)
        if info:
            self._live[name] = info  # in one step: turns ask `hash_of` meanwhile
        else:
            self._live.pop(name, None)
        if before:
            self._replaced[name] = before
        self._engine.pin_adapters({self._live[n].content_hash for n in self._pinned if n in self._live})
        held = {each.content_hash for each in (*self._live.values(), *self._replaced.values())}
        if gone and gone.content_hash not in held:  # personas may share an adapter
            self._engine.unload_adapter(gone.content_hash)


def _version(name: str, info: AdapterInfo) -> AdapterVersion:
    return AdapterVersion(
        name=name,
        content_hash=info.content_hash,
        rank=info.rank,
        size_bytes=info.size_bytes,
        resident=info.resident,
        base_hash=info.base_hash,
    )
