"""`townsfolk eval` without a terminal: a plan -> a report. The nightly run takes the same way.

Candidate, parent and the untuned base answer the same cases in the same engine, one after the other.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from townsfolk.config import Settings, shipped
from townsfolk.engine.runners import default_threads
from townsfolk.errors import ConfigError
from townsfolk.personas import PersonaLibrary
from townsfolk.serving.examination import Examiner
from townsfolk.serving.llamacpp import LlamaCpp
from townsfolk.training.data import Names, read_actions, read_exchanges, read_names
from townsfolk.training.data.rows import HELD_OUT, TRAIN, read_manifest, read_rows
from townsfolk.training.evaluation.marks import Played, World, by_persona, figures
from townsfolk.training.evaluation.metrics import split_reply
from townsfolk.training.evaluation.report import report
from townsfolk.training.evaluation.scenarios import Case, read_suite, row_cases
from townsfolk.training.evaluation.voices import Voices
from townsfolk.types import Figures, FigureTable, Persona, Report, words

CANDIDATE, PARENT, BASE, GEMMA = "candidate", "parent", "base", "gemma3_270m"
AIDED = "_aided"
"""Ends the name of a peer that our software helps, as it does every persona without an adapter."""
PEERS = (BASE, BASE + AIDED, GEMMA, GEMMA + AIDED)
OWN_SUITES = ("injections.yaml", "safety.yaml")
TIMED, SCORED = 6, 24
"""Turns of each persona whose time is taken alone; replies of which the distance is taken."""

Lines = Sequence[tuple[str, str]]
"""(persona, what it says)."""
Progress = Callable[[str, int, int], None]
"""Called with who answers, how many cases are done, and how many there are."""


@dataclass(frozen=True)
class Plan:
    """What to evaluate, and by what.

    Attributes:
        adapters: persona -> its adapter's folder; empty: all personas as they are shipped.
        parents: the same of what the adapters were continued from; without one: the base model alone.
        data: holds names/, dialogue/ and scenarios/.
        dataset: its held-out rows are a suite, its training rows show the voices (else `data` does).
        suites: files of scenarios; empty: those of `data`.
        limit: at most so many cases of each persona in each suite; None: all.
    """

    adapters: Mapping[str, Path] = field(default_factory=dict)
    parents: Mapping[str, Path] = field(default_factory=dict)
    data: Path = field(default_factory=lambda: shipped("data"))
    dataset: Path | None = None
    suites: tuple[Path, ...] = ()
    peers: tuple[str, ...] = (BASE,)
    limit: int | None = None
    at_once: int = 8


def evaluate(settings: Settings, plan: Plan, progress: Progress = lambda *_: None) -> Report:
    """Play the cases of `plan` with the candidate and all it is compared with, and mark the replies.

    Raises:
        ConfigError: a file of the plan can't be used; says which and why.
        AdapterError, ModelError: what can't be served.
    """
    started = time.monotonic()
    if unknown := {*plan.peers} - {*PEERS}:
        raise ConfigError(f"peer {', '.join(sorted(unknown))} is not known; there are {', '.join(PEERS)}")
    library = PersonaLibrary.read(settings.personas_dirs)
    personas = _examined(library, plan)
    names, lines = read_names(plan.data / "names"), _lines(plan)
    cases = dict(_suites(plan, names, personas))
    specs = read_actions(plan.data / "names")
    actions = {spec.name: spec for spec in specs}
    world = World(names, actions, library.personas, _vocabulary(lines, names), Voices(lines))
    with Examiner.open(settings, specs, (*plan.adapters.values(), *plan.parents.values())) as examiner:
        run = _Run(examiner, cases, plan, world, progress)
        adapters = run.candidate()
        if plan.parents:
            run.all_of(PARENT, plan.parents)
        run.peers(settings)
        about = {**examiner.about, "dataset": _dataset_hash(plan), "adapters": adapters}
    about["seconds"] = round(time.monotonic() - started, 1)
    return report(about, run.played, world, run.further)


@dataclass
class _Run:
    """Who has answered what so far."""

    examiner: Examiner
    cases: Mapping[str, Sequence[Case]]
    plan: Plan
    world: World
    progress: Progress
    played: dict[str, dict[str, list[Played]]] = field(default_factory=dict)
    further: dict[str, FigureTable] = field(default_factory=dict)

    def candidate(self) -> dict[str, str]:
        """Play with the candidate; persona -> content hash of its adapter, empty: the base model alone."""
        self.all_of(CANDIDATE, self.plan.adapters)
        self._note_distances()
        self._note_free_tags()
        return {persona: self.examiner.served(persona) for persona in self._personas()}

    def peers(self, settings: Settings) -> None:
        """Play with each peer of the plan, all of them without adapters."""
        self._both_ways(BASE, self.examiner)
        if {GEMMA, GEMMA + AIDED} & {*self.plan.peers}:
            context = settings.engine.max_context
            with LlamaCpp.gemma(context, settings.engine.threads or default_threads()) as decoder:
                self._both_ways(GEMMA, self.examiner.with_decoder(decoder, context))

    def _both_ways(self, peer: str, aided: Examiner) -> None:
        """By its prompt alone, and aided by our software: what of it is in the plan."""
        untuned = dict.fromkeys(self._personas())
        for name, examiner in ((peer, aided.prompt_alone()), (peer + AIDED, aided)):
            if name in self.plan.peers:
                self.all_of(name, untuned, examiner)

    def all_of(self, who: str, adapters: Mapping[str, Path | None], examiner: Examiner | None = None) -> None:
        """Serve `adapters` and play every suite, the first one's times apart."""
        examiner = examiner or self.examiner
        self.examiner.serve(adapters)
        done, total = 0, sum(map(len, self.cases.values()))

        def told() -> None:
            nonlocal done
            done += 1
            self.progress(who, done, total)

        self.played[who] = {
            suite: examiner.play(cases, self.plan.at_once, told) for suite, cases in self.cases.items()
        }
        first = next(iter(self.cases))
        few = [case for own in _by_persona(self.cases[first]).values() for case in own[:TIMED]]
        self.further[who] = {first: _times(examiner.play(few, 1))}

    def _personas(self) -> list[str]:
        return list(dict.fromkeys(case.persona for cases in self.cases.values() for case in cases))

    def _note_distances(self) -> None:
        """Note for each persona with an adapter how far that is from its parent."""
        first = next(iter(self.cases))
        for persona, own in by_persona(self.played[CANDIDATE][first]).items():
            few = [it for it in own if it.reply][:SCORED]
            if few and self.examiner.served(persona):
                kl = self.examiner.distance(few, self.plan.parents.get(persona))
                self.further[CANDIDATE][first].setdefault(persona, {})["kl"] = kl

    def _note_free_tags(self) -> None:
        """Note for each persona with an adapter how many tags are right where no grammar holds it."""
        first = next(iter(self.cases))
        own = [case for case in self.cases[first] if self.examiner.served(case.persona)]
        for persona, played in by_persona(self.examiner.unheld().play(own, self.plan.at_once)).items():
            tags = figures(played, self.world)["tags"]
            self.further[CANDIDATE][first].setdefault(persona, {})["tags_free"] = tags


def _times(played: Iterable[Played]) -> dict[str, Figures]:
    """Persona -> `latency_ms`, the median turn where nobody else is served."""
    return {
        persona: {"latency_ms": median(it.ms for it in own)} for persona, own in by_persona(played).items()
    }


def _examined(library: PersonaLibrary, plan: Plan) -> list[Persona]:
    """Whose adapters are given; where none are, all."""
    unknown = {*plan.adapters, *plan.parents} - {*library.personas}
    if unknown:
        there = ", ".join(sorted(library.personas))
        raise ConfigError(f"persona {', '.join(sorted(unknown))} is not known; there are {there}")
    return [
        it for name, it in sorted(library.personas.items()) if name in (plan.adapters or library.personas)
    ]


def _suites(plan: Plan, names: Names, personas: Sequence[Persona]) -> Iterator[tuple[str, list[Case]]]:
    """Suite -> its cases, the dataset's held-out rows first."""
    wanted = {persona.name for persona in personas}
    if plan.dataset:
        held_out = [it for it in row_cases(read_rows(plan.dataset / HELD_OUT)) if it.persona in wanted]
        if not held_out:
            raise ConfigError(
                f"{plan.dataset / HELD_OUT}: no row is of {', '.join(sorted(wanted))}: name others"
            )
        yield "held_out", _limited(held_out, plan.limit)
    for file in plan.suites or [plan.data / "scenarios" / name for name in OWN_SUITES]:
        yield file.stem, _limited(read_suite(file, names, personas), plan.limit)


def _limited(cases: Sequence[Case], limit: int | None) -> list[Case]:
    """Spread over each persona's cases, which lie by kind."""
    return [case for own in _by_persona(cases).values() for case in _spread(own, limit or len(own))]


def _spread(cases: Sequence[Case], count: int) -> list[Case]:
    count = min(count, len(cases))
    return [cases[n * len(cases) // count] for n in range(count)]


def _by_persona(cases: Iterable[Case]) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.persona, []).append(case)
    return found


def _lines(plan: Plan) -> Lines:
    """What each persona says where it was not held out; of personas that the dataset lacks, all of `data`."""
    rows = read_rows(plan.dataset / TRAIN) if plan.dataset else []
    found = [(row.persona, split_reply(row.reply)[1]) for row in rows if row.source == "authored"]
    theirs = {persona for persona, _ in found}
    files = [file for file in sorted((plan.data / "dialogue").glob("*.yaml")) if file.stem not in theirs]
    return found + [(file.stem, exchange.reply) for file in files for exchange in read_exchanges(file)]


def _vocabulary(lines: Lines, names: Names) -> frozenset[str]:
    return frozenset(words(" ".join((*(line for _, line in lines), *names.titles.values()))))


def _dataset_hash(plan: Plan) -> object:
    return read_manifest(plan.dataset)["hash"] if plan.dataset else ""
