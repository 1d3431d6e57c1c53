"""What an evaluation found: figures, bars, replies. `townsfolk eval` writes it, the console shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Figures = dict[str, float]
"""Metric -> value; a metric that does not apply is left out."""
FigureTable = dict[str, dict[str, Figures]]
"""Suite -> persona -> figures."""


@dataclass(frozen=True)
class Bar:
    """One figure that must be reached, and by how much the candidate is ahead of each peer there."""

    suite: str
    persona: str
    metric: str
    value: float
    bar: float
    held: bool
    margins: Mapping[str, float]
    """Peer -> how much better than it; below 0: worse."""


@dataclass(frozen=True)
class Line:
    """One scene, and what each said and did in it."""

    suite: str
    id: str
    persona: str
    happened: str
    wanted: Sequence[str]
    reference: str
    replies: Mapping[str, str]
    """`candidate`, `parent` or a peer -> its reply, tag included."""


@dataclass(frozen=True)
class Report:
    """All that one evaluation found.

    Attributes:
        about: what was examined: hashes of base model, adapters and dataset, runner, seconds.
        authored: figures of the authors' own replies to the scenes that have one: what can be reached.
    """

    about: Mapping[str, object]
    suites: FigureTable
    peers: Mapping[str, FigureTable]
    bars: Sequence[Bar]
    authored: FigureTable = field(default_factory=dict)
    replies: Sequence[Line] = ()

    @property
    def held(self) -> bool:
        """No bar was missed."""
        return all(bar.held for bar in self.bars)

    def bars_by_figure(self) -> dict[tuple[str, str, str], Bar]:
        """(suite, persona, metric) -> its bar."""
        return {(bar.suite, bar.persona, bar.metric): bar for bar in self.bars}

    def metrics(self, suite: str) -> list[str]:
        """Names of the suite's figures, in order."""
        return list(dict.fromkeys(name for figures in self.suites[suite].values() for name in figures))
