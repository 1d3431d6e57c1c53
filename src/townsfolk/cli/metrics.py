"""`townsfolk metrics`: every figure that Prometheus is told, as a page of Markdown or as JSON."""

from collections.abc import Iterator
from dataclasses import asdict

from townsfolk.cli.options import AsJson, show
from townsfolk.metrics import CATALOGUE, SECTIONS, Metric

HEAD = """\
# Metrics of the service

What `GET /metrics` exposes to Prometheus. A scrape configuration, alerts and a dashboard are in `deploy/`
([operations.md](operations.md)). The standard process metrics are there too: `process_resident_memory_bytes`,
`process_cpu_seconds_total`, `process_open_fds`, `process_max_fds`, `process_start_time_seconds`,
`process_virtual_memory_bytes`. This page is the output of `townsfolk metrics`; a test keeps it up to date.
"""


def metrics(as_json: AsJson = False) -> None:
    """Print every metric of /metrics and what it means."""
    show(as_json, render().rstrip(), {name: asdict(metric) for name, metric in CATALOGUE.items()})


def render() -> str:
    """The whole page."""
    return "\n".join([HEAD, *("\n".join(_section(*section)) for section in SECTIONS.items())])


def _section(title: str, section: tuple[Metric, ...]) -> Iterator[str]:
    yield f"## {title}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|"
    for metric in section:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.text} |"
    yield ""
