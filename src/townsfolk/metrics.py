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
        "From a turn's cause to its last part",
        ("persona", "kind"),
        _TURN_S,
    ),
    Metric(
        "townsfolk_first_part_latency_seconds",
        "histogram",
        "From a turn's cause to its first action or sentence",
        ("persona", "kind"),
        _TURN_S,
    ),
    Metric("townsfolk_turns_total", "counter", "Turns by how they ended", ("finish",)),
    Metric(
        "townsfolk_fallbacks_total",
        "counter",
        "Turns not delivered, so that the game's script carried on: busy, frozen, late, stale (finished, but "
        "not fetched in time) or invalid",
        ("reason",),
    ),
    Metric(
        "townsfolk_agent_action_count_total",
        "counter",
        "Actions by outcome: allowed, refused (by policy), done, failed, game_refused",
        ("persona", "action", "verdict"),
    ),
    Metric(
        "townsfolk_policy_violations_total",
        "counter",
        "Proposed actions and texts that froze a villager",
        ("rule",),
    ),
    Metric("townsfolk_ratings_total", "counter", "Thumbs up and down", ("value",)),
    Metric("townsfolk_games", "gauge", "Connected games"),
    Metric("townsfolk_sessions", "gauge", "Villagers with a session"),
    Metric("townsfolk_turns_running", "gauge", "Turns in progress"),
)
ENGINE = (
    Metric("townsfolk_num_requests_waiting", "gauge", "Requests in the engine's queue"),
    Metric("townsfolk_num_requests_running", "gauge", "Sequences being decoded"),
    Metric("townsfolk_requests_late_total", "counter", "Requests dropped because their deadline had passed"),
    Metric("townsfolk_prompt_tokens_total", "counter", "Tokens prefilled"),
    Metric("townsfolk_generation_tokens_total", "counter", "Tokens decoded"),
    Metric("townsfolk_passes_total", "counter", "Forward passes"),
    Metric("townsfolk_pass_seconds", "histogram", "Duration of a forward pass", (), _PASS_S),
    Metric("townsfolk_pass_rows", "histogram", "Batch size of a pass: the villagers it served", (), _ROWS),
    Metric("townsfolk_kv_cache_usage_ratio", "gauge", "Share of the KV cache in use"),
    Metric("townsfolk_kv_evictions_total", "counter", "Sequences dropped from the KV cache"),
)
ADAPTERS = (
    Metric("townsfolk_adapters_loaded", "gauge", "Adapters loaded and available to requests"),
    Metric("townsfolk_adapters_resident", "gauge", "Adapters that hold a slot"),
    Metric("townsfolk_adapter_faults", "gauge", "Personas whose adapter can't be served"),
    Metric(
        "townsfolk_persona_adapter_info",
        "gauge",
        "1 for each version (first 16 digits of its hash) that a persona has live or on trial; "
        "base: the base model alone",
        ("persona", "adapter", "standing"),
    ),
)
STORE = (
    Metric("townsfolk_store_up", "gauge", "1 while the database accepts rows"),
    Metric("townsfolk_store_spooled_rows", "gauge", "Rows waiting for the database"),
    Metric("townsfolk_store_spool_bytes", "gauge", "Size of the spool on disk"),
    Metric("townsfolk_store_applied_rows_total", "counter", "Rows written to the database"),
    Metric(
        "townsfolk_store_rejected_rows_total", "counter", "Rows that the database rejected for their content"
    ),
    Metric("townsfolk_store_lost_rows_total", "counter", "Rows lost because even the spool was full"),
)
SERVICE = (
    Metric("townsfolk_ready", "gauge", "1 while turns can be served"),
    Metric(
        "townsfolk_build_info",
        "gauge",
        "Constant 1; the labels tell version and runner",
        ("version", "runner"),
    ),
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
