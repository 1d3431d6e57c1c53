"""Versions of each persona's adapter on disk, which of them serve, and what was decided about them.

    FOLDER/PERSONA/HASH16/{adapter/, manifest.json, evaluation.json, verdict.json}
    FOLDER/registry.json      who is live, and the history

A version is its adapter's content hash, of which its folder bears the first 16 digits; it never changes. It
comes and goes whole, `registry.json` is replaced in one step, and writers hold one lock: a process may be
killed anywhere. It refuses to know what an adapter is: whoever adds one tells its hash.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from townsfolk.config import PromotionSettings
from townsfolk.disk import copy_whole, locked, remove_whole, write_whole
from townsfolk.errors import AdapterError, InvalidRequest, UnknownName
from townsfolk.types import AdapterChange, ChangeKind, Manifest, Message, Standing, faults_told

ADAPTER, MANIFEST, EVALUATION, VERDICT = "adapter", "manifest.json", "evaluation.json", "verdict.json"
ADAPTER_FILES = (f"{ADAPTER}/adapter_config.json", f"{ADAPTER}/adapter_model.safetensors")
SHIPPED = ""
"""The version that is the persona's own folder."""
SHORT = 16


class Trial(Message):
    """A version that has to prove itself."""

    version: str
    share: float
    began_at: float
    """Unix time in seconds."""


class Record(Message):
    """What serves one persona."""

    live: str = SHIPPED
    earlier: tuple[str, ...] = ()
    """What was live before, the latest last."""
    trial: Trial | None = None


Decided = tuple[str, Record]
"""The version that it is about, and what serves from now on."""


class Ledger(Message):
    """`registry.json`."""

    personas: Mapping[str, Record] = {}
    history: tuple[AdapterChange, ...] = ()


class Registry:
    """Safe to use from several processes and threads at once; readers need no lock."""

    def __init__(self, folder: Path, keep_changes: int = 1_000, keep_versions: int = 20) -> None:
        """Args: see `_kept` and `_spare`."""
        self.folder, self._keep_changes, self._keep_versions = folder, keep_changes, keep_versions
        self._file = folder / "registry.json"

    @classmethod
    def of(cls, settings: PromotionSettings) -> Self:
        return cls(settings.registry_dir, settings.keep_changes, settings.keep_versions)

    # --- versions -------------------------------------------------------------------------------

    def add(self, persona: str, source: Path, content_hash: str) -> Path:
        """Copy the version in `source` (`adapter/`, and what stands beside it) here; gives its folder.

        Raises:
            AdapterError: files are missing, or the manifest is of something else, or of a reward model.
        """
        missing = [name for name in ADAPTER_FILES if not (source / name).is_file()]
        if missing:
            raise AdapterError(f"{source}: has no {', '.join(missing)}: name a folder that training wrote")
        _check_manifest(source / MANIFEST, persona, content_hash)
        beside = [name for name in (MANIFEST, EVALUATION, VERDICT) if (source / name).is_file()]
        target = self.folder_of(persona, content_hash)
        with self._locked():
            if not target.exists():
                copy_whole(source, [*ADAPTER_FILES, *beside], target)
        return target

    def folder_of(self, persona: str, version: str) -> Path:
        return self.folder / persona / version[:SHORT]

    def known(self, persona: str, version: str) -> Path:
        """The version's folder. Raises UnknownName: it was not added."""
        folder = self.folder_of(persona, version)
        if not version or not folder.is_dir():
            raise UnknownName(
                f"version {version[:SHORT]!r} of persona {persona!r} is not in {self.folder}: add it with "
                "townsfolk promote"
            )
        return folder

    def versions(self, persona: str) -> tuple[str, ...]:
        """Versions of the persona that can be promoted, the latest first. Raises as `record`."""
        return self._named(persona, self.history())

    # --- who is live ----------------------------------------------------------------------------

    def record(self, persona: str) -> Record:
        """What serves the persona. Raises AdapterError: `registry.json` can't be read."""
        return self._read().personas.get(persona, Record())

    def history(self) -> tuple[AdapterChange, ...]:
        """What was decided lately, the latest last. Raises as `record`."""
        return self._read().history

    def tried_before(self, persona: str, version: str) -> bool:
        """Whether the version had a trial before its last one. Raises as `record`."""
        tried = [it for it in self.history() if (it.name, it.version, it.kind) == (persona, version, "tried")]
        return len(tried) > 1

    def promote(self, persona: str, version: str, share: float, reasons: tuple[str, ...] = ()) -> Standing:
        """Put a version on trial with `share` of the persona's villagers; one on trial before is dropped.

        Raises:
            UnknownName: it was not added.
            AdapterError: `registry.json` can't be read.
        """

        def tried(record: Record) -> Decided:
            self.known(persona, version)
            trial = Trial(version=version, share=share, began_at=time.time())
            return version, record.model_copy(update={"trial": None if record.live == version else trial})

        return self._change(persona, "tried", reasons, tried)

    def confirm(self, persona: str, version: str, reasons: tuple[str, ...] = ()) -> Standing:
        """The version on trial is live for all. Raises InvalidRequest: it is not on trial any more."""

        def confirmed(record: Record) -> Decided:
            _require_trial(persona, record, version)
            return version, Record(live=version, earlier=(*record.earlier, record.live))

        return self._change(persona, "confirmed", reasons, confirmed)

    def rollback(self, persona: str, reasons: tuple[str, ...] = (), version: str = "") -> Standing:
        """End the trial; where there is none, the version before is live again.

        Args:
            version: the only one whose trial is to be ended; empty: whatever serves.

        Raises:
            InvalidRequest: there is none before, or it is not on trial any more.
            AdapterError: `registry.json` can't be read.
        """

        def rolled_back(record: Record) -> Decided:
            _require_trial(persona, record, version)
            if record.trial:
                return record.trial.version, record.model_copy(update={"trial": None})
            if not record.earlier:
                raise InvalidRequest(
                    f"persona {persona!r} is served with what is shipped: there is nothing to roll back to"
                )
            return record.live, Record(live=record.earlier[-1], earlier=record.earlier[:-1])

        return self._change(persona, "rolled_back", reasons, rolled_back)

    def note(self, persona: str, kind: ChangeKind, version: str, reasons: tuple[str, ...]) -> Standing:
        """Write what the gate decided into the history; nothing else changes."""
        return self._change(persona, kind, reasons, lambda record: (version, record))

    # --- the file -------------------------------------------------------------------------------

    def _change(
        self,
        persona: str,
        kind: ChangeKind,
        reasons: tuple[str, ...],
        decided: Callable[[Record], Decided],
    ) -> Standing:
        with self._locked():
            ledger = self._read()
            version, record = decided(ledger.personas.get(persona, Record()))
            change = AdapterChange(
                id=uuid.uuid4().hex,
                name=persona,
                kind=kind,
                version=version,
                instead_of=record.live,
                reasons=reasons,
                at=time.time(),
            )
            history = self._kept((*ledger.history, change))
            spare = self._spare(persona, record, history)
            earlier = tuple(it for it in record.earlier if it not in spare)
            record = record.model_copy(update={"earlier": earlier})
            whole = Ledger(personas={**ledger.personas, persona: record}, history=history)
            write_whole(self._file, whole.model_dump_json(indent=1).encode())
            for gone in spare:  # now that nothing names them; what a kill spares goes with the next change
                remove_whole(self.folder_of(persona, gone))
        return standing(persona, record)

    def _spare(self, persona: str, record: Record, history: Sequence[AdapterChange]) -> set[str]:
        """Versions here that make room: all but the latest `keep_versions`, what serves, and what a rollback
        would go back to. One that was never on trial is about to be.
        """
        needed = {record.live, record.trial.version if record.trial else SHIPPED, *record.earlier[-1:]}
        return {*self._named(persona, history)[self._keep_versions :]} - needed

    def _named(self, persona: str, history: Sequence[AdapterChange]) -> tuple[str, ...]:
        """The persona's versions that are here, what was decided last first."""
        named = [change.version for change in reversed(history) if change.name == persona]
        return tuple(it for it in dict.fromkeys(named) if it and self.folder_of(persona, it).is_dir())

    def _kept(self, history: tuple[AdapterChange, ...]) -> tuple[AdapterChange, ...]:
        """The last `keep_changes`, and before them the last trial of each version that is here.

        By that the version can be named, and its next trial is known to be another one.
        """
        earlier, latest = history[: -self._keep_changes], history[-self._keep_changes :]
        tried = {(it.name, it.version): it for it in earlier if it.kind == "tried"}
        here = {it.id for who, it in tried.items() if self.folder_of(*who).is_dir()}
        return (*(it for it in earlier if it.id in here), *latest)

    def _read(self) -> Ledger:
        try:
            return Ledger.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return Ledger()
        except (OSError, ValidationError) as error:
            told = "; ".join(faults_told(error)) if isinstance(error, ValidationError) else error
            raise AdapterError(
                f"{self._file}: can't be read ({told}): put back a copy, or move it away; then what is "
                "shipped serves"
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with locked(self.folder / "lock"):
                yield
        except OSError as error:
            raise AdapterError(f"{self.folder}: can't be written ({error}): check space and owner") from error


def standing(persona: str, record: Record) -> Standing:
    """A persona's record as it goes over the wire."""
    trial = record.trial
    return Standing(
        name=persona,
        live=record.live,
        trial=trial.version if trial else "",
        share=trial.share if trial else 0,
    )


def _require_trial(persona: str, record: Record, version: str) -> None:
    if version and (not record.trial or record.trial.version != version):
        raise InvalidRequest(f"version {version[:SHORT]} of {persona} is not on trial: promote it")


def _check_manifest(file: Path, persona: str, content_hash: str) -> None:
    """An adapter that was made elsewhere may have none."""
    if not file.is_file():
        return
    try:
        manifest = Manifest.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise AdapterError(f"{file}: {'; '.join(faults_told(error))}; train again") from error
    if (manifest.persona, manifest.adapter_hash) != (persona, content_hash):
        raise AdapterError(
            f"{file}: is of persona {manifest.persona!r}, adapter {manifest.adapter_hash[:SHORT]}; this is "
            f"{persona!r}, {content_hash[:SHORT]}: promote it for its own persona, or train again"
        )
    if manifest.stage == "reward":
        raise AdapterError(
            f"{file}: stage is {manifest.stage!r}: a reward model ranks replies and can't speak: promote "
            "what another stage has trained (to let it choose replies, name it in agents.reward_model)"
        )
