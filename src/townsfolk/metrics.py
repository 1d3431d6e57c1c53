"""Every figure that Prometheus is told, declared once: `/metrics` and docs/metrics.md are made from it.

Engine figures have vLLM's names behind `townsfolk_` where vLLM has one. No label holds what a caller chose:
routes are templates, personas and actions those that are known. Refuses to know when a figure changes.
"""

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

_TURN_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_CALL_S = (*_TURN_S, 30, 120)
_PASS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)

Reading = tuple[str, float, tuple[str, ...]]
"""A figure that is read when Prometheus asks: its name, its value, its labels' values."""


@dataclass(frozen=True)
class Metric:
    """One family. A counter's name ends in `_total`, as Prometheus shows it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


CALLS = tuple(
    metric
    for protocol in ("http", "grpc")
    for metric in (
        Metric(
            f"townsfolk_{protocol}_requests_total",
            "counter",
            f"Calls answered over {protocol}, by route and status code",
            ("route", "code"),
        ),
        Metric(
            f"townsfolk_{protocol}_request_seconds",
            "histogram",
            f"Time from a call's arrival over {protocol} to the end of its answer",
            ("route",),
            _CALL_S,
        ),
    )
)
TURNS = (
    Metric(
        "townsfolk_inference_latency_seconds",
        "histogram",
        "From a turn's occasion to its last part",
        ("persona", "kind"),
        _TURN_S,
    ),
    Metric(
        "townsfolk_first_part_latency_seconds",
        "histogram",
        "From a turn's occasion to its first action or sentence",
        ("persona", "kind"),
        _TURN_S,
    ),
    Metric("townsfolk_turns_total", "counter", "Turns by how they ended", ("finish",)),
    Metric(
        "townsfolk_fallbacks_total",
        "counter",
        "Turns that do not come, so that the game's script goes on: busy, frozen, late, stale (done, but not "
        "asked for in time) or invalid",
        ("reason",),
    ),
    Metric(
        "townsfolk_agent_action_count_total",
        "counter",
        "Actions by what became of them: allowed, refused (policy), done, failed, game_refused",
        ("persona", "action", "verdict"),
    ),
    Metric("townsfolk_policy_violations_total", "counter", "Proposals that froze a villager", ("rule",)),
    Metric("townsfolk_ratings_total", "counter", "Thumbs", ("value",)),
    Metric("townsfolk_games", "gauge", "Games that are connected"),
    Metric("townsfolk_sessions", "gauge", "Villagers kept in mind"),
    Metric("townsfolk_turns_running", "gauge", "Turns under way"),
)
ENGINE = (
    Metric("townsfolk_num_requests_waiting", "gauge", "Requests in the engine's queue"),
    Metric("townsfolk_num_requests_running", "gauge", "Sequences being decoded"),
    Metric("townsfolk_requests_late_total", "counter", "Requests dropped because their deadline passed"),
    Metric("townsfolk_prompt_tokens_total", "counter", "Tokens prefilled"),
    Metric("townsfolk_generation_tokens_total", "counter", "Tokens decoded"),
    Metric("townsfolk_passes_total", "counter", "Forward passes"),
    Metric("townsfolk_pass_seconds", "histogram", "Time of a forward pass", (), _PASS_S),
    Metric("townsfolk_pass_rows", "histogram", "Villagers that a pass served: its batch size", (), _ROWS),
    Metric("townsfolk_kv_cache_usage_ratio", "gauge", "Share of the KV cache in use"),
    Metric("townsfolk_kv_evictions_total", "counter", "Sequences dropped from the KV cache"),
)
ADAPTERS = (
    Metric("townsfolk_adapters_loaded", "gauge", "Adapters that requests may name"),
    Metric("townsfolk_adapters_resident", "gauge", "Adapters that have a slot"),
    Metric("townsfolk_adapter_faults", "gauge", "Personas with an adapter that can't be served"),
    Metric(
        "townsfolk_persona_adapter_info",
        "gauge",
        "1 for the version, by the first 16 digits of its hash, that a persona has live or on trial; "
        "base: the base model alone",
        ("persona", "adapter", "standing"),
    ),
)
STORE = (
    Metric("townsfolk_store_up", "gauge", "1 while the database takes rows"),
    Metric("townsfolk_store_spooled_rows", "gauge", "Rows that wait for the database"),
    Metric("townsfolk_store_spool_bytes", "gauge", "Size of the spool on the disk"),
    Metric("townsfolk_store_applied_rows_total", "counter", "Rows written to the database"),
    Metric(
        "townsfolk_store_rejected_rows_total", "counter", "Rows that the database refused for their content"
    ),
    Metric("townsfolk_store_lost_rows_total", "counter", "Rows that not even the spool had room for"),
)
SERVICE = (
    Metric("townsfolk_ready", "gauge", "1 while turns can be served"),
    Metric("townsfolk_build_info", "gauge", "1 for what is running", ("version", "runner")),
)

SECTIONS = {
    "Calls": CALLS,
    "Turns": TURNS,
    "Engine": ENGINE,
    "Adapters": ADAPTERS,
    "Store": STORE,
    "Service": SERVICE,
}
CATALOGUE = {metric.name: metric for section in SECTIONS.values() for metric in section}


def counter(name: str, registry: CollectorRegistry) -> Counter:
    """The counter of that name, in `registry`."""
    metric = CATALOGUE[name]
    return Counter(name, metric.text, metric.labels, registry=registry)


def histogram(name: str, registry: CollectorRegistry) -> Histogram:
    """The histogram of that name, in `registry`."""
    metric = CATALOGUE[name]
    return Histogram(name, metric.text, metric.labels, registry=registry, buckets=metric.buckets)


def family(name: str) -> CounterMetricFamily | GaugeMetricFamily:
    """An empty family, for readings."""
    metric = CATALOGUE[name]
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(name, metric.text, labels=metric.labels)
