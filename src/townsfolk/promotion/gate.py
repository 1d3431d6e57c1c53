"""A candidate beside the version that serves -> may it go on trial? With every reason, for and against.

    bars        none that held may fall
    figures     none may be worse by more than a margin and one standard error of the difference
    evidence    enough turns rated, and a reward model that tells liked from disliked ones it has not seen
    win rate    by that reward model, on contexts nobody trained on: above a threshold, and beyond chance
    distance    KL from the parent, bounded
    latency     of a turn, as it is served

Chance is judged by exact one-sided tests: wins by the sign test (Dixon and Mood, 1946, JASA 41), the reward
model's AUC by its normal approximation where there is no effect (Mann and Whitney, 1947). It refuses to know
how figures were come by: it reads the reports of `townsfolk eval` and counts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import comb, erfc, sqrt
from typing import Any

from townsfolk.config import PromotionSettings
from townsfolk.types import Message, Text

HIGHER = ("tags", "action", "target", "grounded", "distinct")
LOWER = ("echo", "repetition", "injections_obeyed")
"""Figures that are compared, by which way is better; of the others neither is. For the voice (`persona`) its
bar is enough: it changes with what players like."""
LATENCY, DISTANCE = "latency_ms", "kl"
OBEYED, SCENARIOS = "injections_obeyed", "scenarios"
COUNTS = {"target": "targets"}
"""Shares that are not of all scenarios -> the figure that says of how many."""

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Duels:
    """On how many contexts whose reply has the higher reward; equal ones count for neither."""

    won: int
    lost: int
    tied: int = 0

    @property
    def rate(self) -> float:
        """Share won; a tie is half."""
        total = self.won + self.lost + self.tied
        return (self.won + self.tied / 2) / total if total else 0.0


@dataclass(frozen=True)
class Thumbs:
    """What players' ratings are worth.

    Attributes:
        rated: rows with a rating that the candidate was trained on.
        up, down: of the held-out rows.
        auc: how likely the reward model puts a held-out row with a thumb up above one with a thumb down.
    """

    rated: int
    up: int
    down: int
    auc: float


class Finding(Message):
    """One reason."""

    holds: bool
    text: Text


class GateVerdict(Message):
    """`verdict.json` beside a version."""

    passed: bool
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against it; where nothing does, what speaks for it."""
        return tuple(finding.text for finding in self.findings if finding.holds == self.passed)


def gate(
    persona: str,
    candidate: Mapping[str, Any],
    incumbent: Mapping[str, Any] | None,
    thumbs: Thumbs,
    duels: Duels,
    settings: PromotionSettings,
) -> GateVerdict:
    """May the candidate go on trial?

    Args:
        candidate: the report of `townsfolk eval`, as JSON has it.
        incumbent: the same of what serves; None: nothing that was evaluated does.
    """
    ours, theirs = _of(persona, candidate), _of(persona, incumbent or {})
    findings = (
        *_bars(persona, candidate, incumbent or {}),
        *_figures(ours, theirs, settings.gate_margin),
        *_evidence(thumbs, settings),
        *_win_rate(duels, settings),
        *_distance(ours, settings.gate_max_kl),
        *_latency(ours, theirs, settings.gate_max_slowdown),
    )
    return GateVerdict(passed=all(finding.holds for finding in findings), findings=findings)


def sign_test(won: int, lost: int) -> float:
    """P(so many wins or more of `won + lost`), were both as good: one-sided."""
    count = won + lost
    return sum(comb(count, n) for n in range(won, count + 1)) / (1 << count)


def auc_test(auc: float, up: int, down: int) -> float:
    """P(so high an AUC or higher), were rewards blind to thumbs: one-sided."""
    if not up or not down:
        return 1.0
    spread = sqrt((up + down + 1) / (12 * up * down))
    return erfc((auc - 0.5) / spread / sqrt(2)) / 2


def _of(persona: str, report: Mapping[str, Any]) -> dict[str, Figures]:
    """Suite -> the persona's figures."""
    suites: Mapping[str, Mapping[str, Figures]] = report.get("suites", {})
    return {suite: by_name[persona] for suite, by_name in suites.items() if persona in by_name}


def _bars(persona: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Finding]:
    missed = {place for place, bar in _own_bars(persona, theirs) if not bar["held"]}
    for (suite, metric), bar in _own_bars(persona, ours):
        told = f"{suite}: {metric} {bar['value']:.4g}, bar {bar['bar']:.4g}"
        if (suite, metric) in missed and not bar["held"]:
            yield Finding(holds=True, text=f"{told}: missed, as before")
        else:
            yield Finding(holds=bar["held"], text=told if bar["held"] else f"{told}: has fallen")


def _own_bars(persona: str, report: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    for bar in report.get("bars", ()):
        if bar["persona"] == persona:
            yield (bar["suite"], bar["metric"]), bar


def _figures(ours: Mapping[str, Figures], theirs: Mapping[str, Figures], margin: float) -> Iterator[Finding]:
    if not ours:
        yield Finding(holds=False, text="the candidate was not evaluated: no figures of it in the report")
    for suite, metric, sign in _compared(ours):
        before = theirs.get(suite, {}).get(metric)
        if before is not None:
            gain = sign * (ours[suite][metric] - before)
            told = f"{suite}: {metric} {ours[suite][metric]:.4g}, before {before:.4g}"
            allowed = margin + _standard_error(metric, ours[suite], theirs[suite])
            worse = gain < -allowed
            yield Finding(holds=not worse, text=f"{told}: worse by over {allowed:.2g}" if worse else told)


def _standard_error(metric: str, ours: Figures, theirs: Figures) -> float:
    """Of the difference of two shares; 0 for what is counted, of which none may be more."""
    if metric == OBEYED:
        return 0.0
    count = COUNTS.get(metric, SCENARIOS)
    shares = ((figures[metric], figures.get(count, 0)) for figures in (ours, theirs))
    return sqrt(sum(share * (1 - share) / of for share, of in shares if of))


def _compared(ours: Mapping[str, Figures]) -> Iterator[tuple[str, str, int]]:
    for suite, figures in ours.items():
        yield from ((suite, metric, 1) for metric in HIGHER if metric in figures)
        yield from ((suite, metric, -1) for metric in LOWER if metric in figures)


def _evidence(thumbs: Thumbs, settings: PromotionSettings) -> Iterator[Finding]:
    yield Finding(
        holds=thumbs.rated >= settings.gate_least_rated,
        text=f"{thumbs.rated} rated turns to learn from, at least {settings.gate_least_rated} are asked for",
    )
    chance = auc_test(thumbs.auc, thumbs.up, thumbs.down)
    yield Finding(
        holds=chance < settings.gate_alpha,
        text=f"the reward model's AUC on {thumbs.up} thumbs up and {thumbs.down} down it has not seen: "
        f"{thumbs.auc:.3f} (by chance: {chance:.2g}, must be below {settings.gate_alpha:g})",
    )


def _win_rate(duels: Duels, settings: PromotionSettings) -> Iterator[Finding]:
    chance = sign_test(duels.won, duels.lost)
    held = duels.rate >= settings.gate_least_win_rate and chance < settings.gate_alpha
    yield Finding(
        holds=held,
        text=f"win rate {duels.rate:.3f} ({duels.won} won, {duels.tied} tied, {duels.lost} lost), at least "
        f"{settings.gate_least_win_rate:g} (by chance: {chance:.2g}, must be below {settings.gate_alpha:g})",
    )


def _distance(ours: Mapping[str, Figures], most: float) -> Iterator[Finding]:
    distances = [figures[DISTANCE] for figures in ours.values() if DISTANCE in figures]
    if not distances:
        yield Finding(holds=False, text="the distance from the parent was not measured")
    for kl in distances:
        yield Finding(holds=kl <= most, text=f"KL from the parent {kl:.3g} nats a token, at most {most:g}")


def _latency(ours: Mapping[str, Figures], theirs: Mapping[str, Figures], most: float) -> Iterator[Finding]:
    for suite, figures in ours.items():
        now, before = figures.get(LATENCY), theirs.get(suite, {}).get(LATENCY)
        if now is not None and before is not None:
            told = f"{suite}: a turn takes {now:.0f} ms, before {before:.0f}, at most {most:g} times as long"
            yield Finding(holds=now <= most * before, text=told)
