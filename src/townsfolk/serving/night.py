"""One night of one persona: from the day's ratings to a version on trial, or to the reasons why not.

    collect   ratings, demonstrations and engagement since the store began
    build     with the authored rows, a dataset
    reward    a reward model of it
    learn     a candidate, continued from what serves
    examine   the candidate, as it would be served, beside what serves
    gate      the verdict, with every reason
    promote   into the registry and live

Heavy steps are commands of ours in a process of their own: its memory is given back at its end, and what
kills it does not kill the night.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from townsfolk.config import Settings, shipped
from townsfolk.disk import write_whole
from townsfolk.engine import open_model
from townsfolk.errors import ConfigError, LaunchError
from townsfolk.personas import PersonaLibrary
from townsfolk.promotion.gate import GateVerdict, Thumbs, gate
from townsfolk.promotion.nightly import RESULT, Result, Step
from townsfolk.promotion.registry import ADAPTER, EVALUATION, MANIFEST, SHIPPED, SHORT, VERDICT, Registry
from townsfolk.serving.duels import duels
from townsfolk.serving.harvest import AUTHORED
from townsfolk.training.data.played import EXPLICIT
from townsfolk.training.data.rows import HELD_OUT, TRAIN, DataRow, read_rows
from townsfolk.types import ChangeKind, Manifest

INCUMBENT = "incumbent.json"
ROWS = "rows.jsonl"
SUITE = "held_out"
LIVE = "live"
LEARNT = "learnt.json"
"""Beside a persona's nights: the thumbs of the last one that came to a verdict, by turn."""
TAIL = 1_500
Promote = Callable[[Path], str]
"""Puts the version in a folder live; gives its content hash."""


@dataclass(frozen=True)
class NightPlan:
    """What a night is made of.

    Attributes:
        home: the night's folder.
        config: the settings' file, which commands are told as well.
    """

    persona: str
    home: Path
    settings: Settings
    promote: Promote
    config: Path | None = None

    def steps(self) -> list[Step]:
        """All of them, in order."""
        return [
            Step("collect", self._collect),
            Step("build", self._build),
            Step("reward", lambda folder: self._train("reward", folder), continues=True),
            Step("learn", lambda folder: self._train(self.settings.nightly.stage, folder), continues=True),
            Step("examine", self._examine),
            Step("gate", self._gate),
            Step("promote", self._promote),
        ]

    @property
    def _registry(self) -> Registry:
        return Registry.of(self.settings.promotion)

    # --- data -----------------------------------------------------------------------------------

    def _collect(self, folder: Path) -> Result:
        self._authored()  # told before anything is trained
        record = self._registry.record(self.persona)
        if trial := record.trial:
            return Result(
                end=f"version {trial.version[:SHORT]} is on trial: what players say of it comes first"
            )
        self._run(folder, "data", "collect", str(folder / ROWS), *self._with_config())
        rows = self._rows(folder / ROWS)
        up, down = _thumbs(rows)
        new = len(_rated(rows).items() - self._learnt().items())
        least = self.settings.promotion.gate_least_rated
        enough = up and down and new >= least
        few = (
            f"{up} thumbs up and {down} down, {new} of them new: learning takes {least} new, and some of both"
        )
        figures = {"up": up, "down": down, "new": new, LIVE: record.live}
        return Result(figures=figures, end="" if enough else few)

    def _learnt(self) -> dict[str, float]:
        """Thumbs that had their verdict: each further night would stray further with them."""
        file = self.home.parent / LEARNT
        return dict(_read(file)) if file.exists() else {}

    def _build(self, folder: Path) -> Result:
        sources = f"{AUTHORED},{self.home / 'collect' / ROWS}"
        of = ("--data", str(self._authored()), "--names", str(shipped("data") / "names"), "--from", sources)
        self._run(folder, "data", "build", str(folder / "dataset"), *of, *self._with_config())
        rows = {name: len(self._rows(self.dataset / f"{name}.jsonl")) for name in ("train", "held_out")}
        return Result(figures=rows)

    def _authored(self) -> Path:
        """The folder with the persona's exchanges: without them nothing tells whether it still speaks well.

        Raises:
            ConfigError: there is none.
        """
        folders = (*self.settings.nightly.data, shipped("data"))
        name = f"dialogue/{self.persona}.yaml"
        found = next((folder for folder in folders if (folder / name).is_file()), None)
        if found is None:
            raise ConfigError(
                f"{name} is in none of {', '.join(map(str, folders))}: a candidate is examined on authored "
                "exchanges of its persona; write some (docs/tutorial-persona.md), name their folder in "
                "nightly.data, or leave the persona out with --persona"
            )
        return found

    @property
    def dataset(self) -> Path:
        return self.home / "build" / "dataset"

    def _rows(self, file: Path) -> list[DataRow]:
        return [row for row in read_rows(file) if row.persona == self.persona]

    # --- training -------------------------------------------------------------------------------

    def _train(self, stage: str, folder: Path) -> Result:
        out = folder / "run"
        if not (out / MANIFEST).exists():
            recipe = (self.settings.nightly.recipes or shipped("configs")) / f"{stage}.yaml"
            self._run(folder, "train", stage, str(recipe), *self._flags(stage, out), *self._with_config())
        manifest = Manifest.model_validate_json((out / MANIFEST).read_bytes())
        return Result(figures={"adapter": manifest.adapter_hash[:SHORT], **manifest.metrics})

    def _flags(self, stage: str, out: Path) -> list[str]:
        given = {
            "persona": self.persona,
            "dataset": self.dataset,
            "output_dir": out,
            "model": self.settings.engine.model,
            "parent": self._incumbent() or "",
            **({"reward_model": self.home / "reward" / "run"} if stage == "ppo" else {}),
        }
        return [f"--{name}={value}" for name, value in given.items()]

    def _live(self) -> str:
        """The version that served when the night began: all its steps are about that one."""
        collected = Result.model_validate_json((self.home / "collect" / RESULT).read_bytes())
        return str(collected.figures[LIVE])

    def _incumbent(self) -> Path | None:
        """The folder that holds what served; None: the base model alone."""
        live = self._live()
        if live != SHIPPED:
            return self._registry.known(self.persona, live) / ADAPTER
        base_hash = open_model(self.settings.engine.model).base_hash
        return PersonaLibrary.read(self.settings.personas_dirs).adapter_for(self.persona, base_hash)

    # --- judgement ------------------------------------------------------------------------------

    def _examine(self, folder: Path) -> Result:
        incumbent = self._incumbent()
        parent = ["--parents", f"{self.persona}={incumbent}"] if incumbent else []
        served = "none" if incumbent else "base_aided"
        self._evaluate(folder, EVALUATION, self.home / "learn" / "run", *parent, "--peers", served)
        if incumbent:
            self._evaluate(folder, INCUMBENT, incumbent, "--peers", "none")
        report = _read(folder / EVALUATION)
        figures = report["suites"].get(SUITE, {}).get(self.persona, {})
        return Result(figures={name: float(value) for name, value in figures.items()})

    def _evaluate(self, folder: Path, name: str, adapter: Path, *more: str) -> None:
        """A bar may be missed, which is status 1 with a report: the gate decides what that means."""
        words = ("--adapters", f"{self.persona}={adapter}", "--dataset", str(self.dataset))
        report = folder / name
        told = ("--json", str(report), "--limit", str(self.settings.nightly.scenarios))
        self._run(folder, "eval", *words, *told, *more, *self._with_config(), report=report)

    def _gate(self, folder: Path) -> Result:
        examined = self.home / "examine"
        report = _read(examined / EVALUATION)
        before = _read(examined / INCUMBENT) if (examined / INCUMBENT).exists() else None
        reward_model, held_out = self.home / "reward" / "run", self._rows(self.dataset / HELD_OUT)
        fought = duels(self.settings, report, held_out, reward_model / ADAPTER)
        thumbs = self._worth(Manifest.model_validate_json((reward_model / MANIFEST).read_bytes()), held_out)
        verdict = gate(self.persona, report, before, thumbs, fought, self.settings.promotion)
        (folder / VERDICT).write_text(verdict.model_dump_json(indent=1), encoding="utf-8")
        self._note(verdict)
        refused = "" if verdict.passed else f"the gate refuses: {'; '.join(verdict.reasons)}"
        figures = {"passed": verdict.passed, "win_rate": fought.rate, "auc": thumbs.auc}
        return Result(figures=figures, end=refused)

    def _worth(self, reward_model: Manifest, held_out: Sequence[DataRow]) -> Thumbs:
        rated = sum(_thumbs(self._rows(self.dataset / TRAIN)))
        return Thumbs(rated, *_thumbs(held_out), reward_model.metrics.get("auc", 0.5))

    def _note(self, verdict: GateVerdict) -> None:
        learnt = Manifest.model_validate_json((self.home / "learn" / "run" / MANIFEST).read_bytes())
        kind: ChangeKind = "passed" if verdict.passed else "refused"
        self._registry.note(self.persona, kind, learnt.adapter_hash, verdict.reasons)
        rated = _rated(self._rows(self.home / "collect" / ROWS))
        write_whole(self.home.parent / LEARNT, json.dumps(rated).encode())

    def _promote(self, folder: Path) -> Result:
        if (now := self._registry.record(self.persona).live) != self._live():
            return Result(end=f"{now[:SHORT] or 'what is shipped'} went live meanwhile: not measured by it")
        run = self.home / "learn" / "run"
        for source, name in (("examine", EVALUATION), ("gate", VERDICT)):
            (run / name).write_bytes((self.home / source / name).read_bytes())
        return Result(figures={"version": self.promote(run)[:SHORT]})

    # --- commands -------------------------------------------------------------------------------

    def _run(self, folder: Path, *words: str, report: Path | None = None) -> None:
        """One of our commands; what it prints is in the step's `log.txt`.

        Args:
            report: what it writes; with that there, status 1 is a finding and no failure.

        Raises:
            LaunchError: it failed; says how.
        """
        log = folder / "log.txt"
        with log.open("ab") as out:
            command = [sys.executable, "-m", "townsfolk.cli", *words]
            code = subprocess.run(command, stdout=out, stderr=out, check=False).returncode
        if code and not (code == 1 and report and report.exists()):
            tail = log.read_text(encoding="utf-8", errors="replace")[-TAIL:]
            raise LaunchError(
                f"step {folder.name}: townsfolk {words[0]} has failed (exit status {code}); "
                f"the end of {log}:\n{tail}"
            )

    def _with_config(self) -> list[str]:
        return ["--config", str(self.config)] if self.config else []


def _rated(rows: Sequence[DataRow]) -> dict[str, float]:
    """Reward of each row with thumbs; hints are none, and thumbs that cancel out are left out."""
    return {row.id: row.reward for row in rows if row.reward and row.weight >= EXPLICIT}


def _thumbs(rows: Sequence[DataRow]) -> tuple[int, int]:
    """Rows with a thumb up and with one down."""
    rewards = _rated(rows).values()
    return sum(reward > 0 for reward in rewards), sum(reward < 0 for reward in rewards)


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
