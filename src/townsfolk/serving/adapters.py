"""Which adapter each persona is served with, by content hash."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from townsfolk.engine import AdapterInfo, Engine
from townsfolk.errors import AdapterError, UnknownName
from townsfolk.feedback.store import Store
from townsfolk.personas import PersonaLibrary
from townsfolk.types import AdapterFault, AdapterList, AdapterVersion

log = logging.getLogger(__name__)


class AdapterShelf:
    """Persona -> adapter. A persona without one is served by the base model alone.

    Thread-safe. `load`, `unload` and `listing` wait for each other: call them off the event loop.
    """

    def __init__(self, engine: Engine, library: PersonaLibrary, dirs: Sequence[Path], store: Store) -> None:
        self._engine, self._library, self._store = engine, library, store
        self._dirs = (*dirs, *library.folders.values())
        self._live: dict[str, str] = {}
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
        self._store.record_adapter(version)
        return version

    def _swap_in(self, name: str, folder: Path) -> AdapterVersion:
        try:
            info = self._engine.load_adapter(folder, self._dirs)
        except AdapterError as error:
            self._faults[name] = str(error)
            raise
        self._faults.pop(name, None)
        replaced = self._live.get(name)
        self._live[name] = info.content_hash
        if replaced and replaced != info.content_hash:
            self._release(replaced)
        return _version(name, info)

    def unload(self, name: str) -> None:
        """Serve the persona by the base model again. Raises UnknownName if it has no adapter."""
        with self._changing:
            content_hash = self._live.pop(name, None)
            if content_hash is None:
                raise UnknownName(
                    f"persona {name!r} has no adapter loaded; loaded are: {', '.join(self._live) or 'none'}"
                )
            self._release(content_hash)

    def hash_of(self, persona: str) -> str | None:
        return self._live.get(persona)

    def listing(self) -> AdapterList:
        with self._changing:
            infos = {info.content_hash: info for info in self._engine.adapters()}
            live, faults = sorted(self._live.items()), sorted(self._faults.items())
        return AdapterList(
            adapters=tuple(_version(name, infos[content_hash]) for name, content_hash in live),
            faults=tuple(AdapterFault(name=name, reason=reason) for name, reason in faults),
        )

    def _release(self, content_hash: str) -> None:
        """Two personas may share an adapter: it goes when the last lets go."""
        if content_hash not in self._live.values():
            self._engine.unload_adapter(content_hash)


def _version(name: str, info: AdapterInfo) -> AdapterVersion:
    return AdapterVersion(
        name=name,
        content_hash=info.content_hash,
        rank=info.rank,
        size_bytes=info.size_bytes,
        resident=info.resident,
        base_hash=info.base_hash,
    )
