"""What a run logged -> one picture, a panel a figure."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

UNDRAWN = ("step", "seconds", "rss_mb", "epoch")
COLUMNS = 3


def draw_curves(log: Sequence[dict[str, float]], picture: Path) -> None:
    """Draw all figures of the lines of a log over the steps; nothing where nothing was logged."""
    series = _series(log)
    if not series:
        return
    from matplotlib.figure import Figure

    rows = math.ceil(len(series) / COLUMNS)
    figure: Any = Figure(figsize=(4 * COLUMNS, 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for panel, (name, points) in zip(panels, series.items(), strict=False):
        panel.plot(*zip(*points, strict=True), marker="." if len(points) < 20 else "")
        panel.set_title(name)
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
    for panel in panels[len(series) :]:
        panel.set_visible(False)
    figure.savefig(picture, dpi=110)


def _series(log: Sequence[dict[str, float]]) -> dict[str, list[tuple[float, float]]]:
    """Name of a figure -> (step, value) in order."""
    series: dict[str, list[tuple[float, float]]] = {}
    for line in log:
        for name in line.keys() - set(UNDRAWN):
            series.setdefault(name, []).append((line["step"], line[name]))
    return dict(sorted(series.items()))
