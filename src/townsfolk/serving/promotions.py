"""Registry, shelf and store together: versions are tried, go live and are taken back while villagers talk."""

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from townsfolk.config import PromotionSettings
from townsfolk.errors import AdapterError, InvalidRequest, StoreError, TownsfolkError
from townsfolk.feedback.store import Store
from townsfolk.personas import PersonaLibrary
from townsfolk.promotion.registry import ADAPTER, SHIPPED, SHORT, Record, Registry, Trial
from townsfolk.promotion.trial import Rule, judge
from townsfolk.serving.adapters import AdapterShelf, Source
from townsfolk.types import Standing

log = logging.getLogger(__name__)


class Promotions:
    """Serves each persona with what the registry says, and ends trials.

    The registry may be changed by other processes; it is the truth, the store has a copy of its history.

    Thread-safe; methods block: call them off the event loop.
    """

    def __init__(
        self,
        shelf: AdapterShelf,
        library: PersonaLibrary,
        store: Store,
        settings: PromotionSettings,
        base_hash: str,
    ) -> None:
        """Args: base_hash: of the base model that is served."""
        self._shelf, self._library, self._store, self._settings = shelf, library, store, settings
        self._base_hash = base_hash
        self.registry = Registry.of(settings)
        self._followed: dict[str, Record] = {}
        self._recorded = ""  # the last change of the registry's history that the store was told
        self._following = threading.Lock()

    def follow(self) -> list[str]:
        """Serve what the registry says now; gives the personas for which that has changed.

        A registry that can't be read is told: personas keep what they have, at the start what is shipped.
        """
        with self._following:
            try:
                records = {name: self.registry.record(name) for name in self._library.personas}
                self._record_history()
            except AdapterError as error:
                log.error("%s", error)
                records = {name: Record() for name in self._library.personas if name not in self._followed}
            changed = [name for name in records if self._followed.get(name) != records[name]]
            for name in changed:
                self._serve(name, records[name])
                self._followed[name] = records[name]
        return changed

    def promote(self, name: str, version: str) -> Standing:
        """Serve persona `name` with a version of the registry, on trial first where there are trials.

        Raises:
            UnknownName: there is no such persona or version.
            AdapterError: it can't be served; nothing has changed.
        """
        self._library.get(name)
        folder = self.registry.known(name, version)
        self._shelf.check(Source(folder / ADAPTER, version))
        told = self.registry.promote(name, version, self._settings.canary_share)
        if told.trial and not self._settings.trial_turns:
            told = self.registry.confirm(name, version, ("no trial is set",))
        self.follow()
        return told

    def rollback(self, name: str, reason: str = "") -> Standing:
        """End the persona's trial, or serve it with the version before.

        Raises:
            UnknownName: there is no such persona.
            InvalidRequest: there is nothing before.
            AdapterError: the registry can't be read.
        """
        self._library.get(name)
        told = self.registry.rollback(name, (reason or "asked for",))
        self.follow()
        return told

    def look(self) -> list[str]:
        """End the trials that are over or go badly; gives the personas that are served otherwise now."""
        for name, record in list(self._followed.items()):
            if record.trial:
                try:
                    self._judge(name, record, record.trial)
                except (StoreError, InvalidRequest, AdapterError) as error:
                    log.warning("the trial of persona %s was not looked at: %s", name, error)
        return self.follow()

    async def watch(self, on_change: Callable[[str], None]) -> None:
        """Look every `promotion.watch_seconds` until cancelled; `on_change` is told the personas."""
        while True:
            await asyncio.sleep(self._settings.watch_seconds)
            try:
                changed = await asyncio.to_thread(self.look)
            except TownsfolkError as error:
                log.error("the registry was not followed: %s", error)
                continue
            for name in changed:
                on_change(name)

    def _judge(self, name: str, record: Record, trial: Trial) -> None:
        if self._shelf.is_shed(name):
            return  # memory is short: the trial goes on when there is room
        if not self._shelf.serves(name, trial.version):
            self._take_back(name, trial, ("it can't be served any more: see the faults of GET /v1/adapters",))
            return
        settings = self._settings
        rule = Rule(max(1, settings.trial_turns), settings.trial_least, settings.trial_alpha)
        # All turns of a version that was never tried before are the trial's, whatever the clock said then.
        since = trial.began_at if self.registry.tried_before(name, trial.version) else 0
        new = self._store.outcomes_of(name, trial.version, rule.turns, since)
        before = self._store.outcomes_of(name, self._shelf.live_hash(name) or "", rule.turns)
        ruling = judge(new, before, rule)
        if ruling.kind == "confirm":
            self.registry.confirm(name, trial.version, ruling.reasons)
        elif ruling.kind == "rollback":
            self._take_back(name, trial, ruling.reasons)

    def _take_back(self, name: str, trial: Trial, reasons: tuple[str, ...]) -> None:
        log.warning("persona %s: version %s is taken back: %s", name, trial.version[:SHORT], reasons)
        self.registry.rollback(name, reasons, version=trial.version)

    def _serve(self, name: str, record: Record) -> None:
        versions = dict.fromkeys((record.live, *reversed(record.earlier), SHIPPED))
        live = [source for version in versions if (source := self._source(name, version))]
        trial = self._source(name, record.trial.version) if record.trial else None
        try:
            self._shelf.serve(name, live, trial, record.trial.share if record.trial else 0)
        except StoreError as error:  # a full disk must not keep the next persona from a rollback
            log.error("persona %s is served as the registry says, but that is not recorded: %s", name, error)

    def _source(self, name: str, version: str) -> Source | None:
        if version == SHIPPED:
            folder: Path | None = self._library.adapter_for(name, self._base_hash)
            return Source(folder) if folder else None
        return Source(self.registry.folder_of(name, version) / ADAPTER, version)

    def _record_history(self) -> None:
        """Tell the store what is new; what it knows already stays as it is."""
        history = self.registry.history()
        ids = [change.id for change in history]
        told = ids.index(self._recorded) + 1 if self._recorded in ids else 0
        self._store.record_changes(history[told:])
        self._recorded = ids[-1] if ids else ""
