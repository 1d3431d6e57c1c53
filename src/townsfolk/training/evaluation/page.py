"""A report -> one HTML page that needs nothing besides itself. It refuses to reckon: figures come as told."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from townsfolk.errors import ConfigError
from townsfolk.training.evaluation.report import LEAST
from townsfolk.types import Report

PLOTTED = ("action", "target", "persona", "grounded", "echo")
"""Shares that are drawn; `tags` is held by the grammar, so it shows nothing."""
PER_ROW, WIDTH, HEIGHT = 5, 15.0, 2.6
"""Plots side by side; inches."""


def page(report: Report) -> str:
    """The page as a text.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.get_template("page.html.jinja").render(
        report=report,
        bars=report.bars_by_figure(),
        plots={suite: Markup(_plot(report, suite)) for suite in report.suites},  # noqa: S704 - drawn here
        shown=list(_shown(report)),
    )


def _shown(report: Report) -> Iterator[str]:
    """Who replied, in the order of the columns."""
    replies = report.replies[0].replies if report.replies else ()
    yield from (who for who in ("base", "parent", "candidate") if who in replies)
    yield from (who for who in replies if who not in ("base", "parent", "candidate"))


def _plot(report: Report, suite: str) -> str:
    """A row of bar charts as SVG: one a metric, a group a persona, a bar for each who replied."""
    plt = _matplotlib()
    tables = {"candidate": report.suites, **report.peers}
    metrics = [name for name in PLOTTED if name in report.metrics(suite)]
    figure, axes = plt.subplots(1, PER_ROW, figsize=(WIDTH, HEIGHT), layout="constrained", sharey=True)
    for axis in axes[len(metrics) :]:
        axis.axis("off")
    for axis, metric in zip(axes, metrics, strict=False):
        _draw(axis, metric, {who: table[suite] for who, table in tables.items()})
    axes[0].legend(fontsize=7)
    out = io.StringIO()
    figure.savefig(out, format="svg")
    plt.close(figure)
    return out.getvalue()[out.getvalue().index("<svg") :]  # what comes before is for files of their own


def _draw(axis: Any, metric: str, tables: dict[str, dict[str, dict[str, float]]]) -> None:
    personas: Sequence[str] = list(next(iter(tables.values())))
    width = 0.8 / len(tables)
    for at, (who, table) in enumerate(tables.items()):
        values = [table[persona].get(metric, 0) for persona in personas]
        axis.bar([place + at * width for place in range(len(personas))], values, width, label=who)
    if metric in LEAST:
        axis.axhline(LEAST[metric], linestyle="--", linewidth=0.8, color="black")
    axis.set_title(metric, fontsize=9)
    axis.set_ylim(0, 1)
    axis.set_xticks([place + 0.4 - width / 2 for place in range(len(personas))], personas, fontsize=7)


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError(
            "a page has plots, which need matplotlib: pip install 'townsfolk[train]'"
        ) from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt
