"""What Prometheus is told. The engine's and the store's figures are read when it asks."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from townsfolk.engine import Engine
from townsfolk.feedback.store import Store

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Counters that turns write to."""

    def __init__(self, registry: CollectorRegistry, engine: Engine, store: Store) -> None:
        self.latency = Histogram(
            "townsfolk_inference_latency_seconds",
            "From a turn's occasion to its last part",
            ("persona", "kind"),
            buckets=_SECONDS,
            registry=registry,
        )
        self.first_part = Histogram(
            "townsfolk_first_part_latency_seconds",
            "From a turn's occasion to its first action or sentence",
            ("persona", "kind"),
            buckets=_SECONDS,
            registry=registry,
        )
        self.actions = Counter(
            "townsfolk_agent_action_count",
            "Actions by what became of them: allowed, refused (policy), done, failed, game_refused",
            ("persona", "action", "verdict"),
            registry=registry,
        )
        self.turns = Counter("townsfolk_turns", "Turns by how they ended", ("finish",), registry=registry)
        self.violations = Counter(
            "townsfolk_policy_violations", "Proposals that froze a villager", ("rule",), registry=registry
        )
        self.ratings = Counter("townsfolk_ratings", "Thumbs", ("value",), registry=registry)
        self.games = Gauge("townsfolk_games", "Games that are connected", registry=registry)
        self.sessions = Gauge("townsfolk_sessions", "Villagers kept in mind", registry=registry)
        registry.register(_Figures(engine, store))


class _Figures(Collector):
    """Snapshots of the engine and the store, under vLLM's names where it has one."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine, self._store = engine, store

    def collect(self) -> Iterator[Metric]:
        engine, store = self._engine.stats(), self._store.stats()
        for name, text, value in (
            ("townsfolk_num_requests_waiting", "Requests in the engine's queue", engine.queue_length),
            ("townsfolk_num_requests_running", "Sequences being decoded", engine.running_rows),
            ("townsfolk_batch_rows", "Rows of the last pass", engine.last_batch_rows),
            ("townsfolk_kv_cache_usage_ratio", "Share of the KV cache in use", engine.kv_used),
            ("townsfolk_adapters_loaded", "Adapters that requests may name", engine.adapters_loaded),
            ("townsfolk_adapters_resident", "Adapters that have a slot", engine.adapters_resident),
            ("townsfolk_store_spooled_rows", "Rows that wait for the database", store.spooled),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        for name, text, value in (
            ("townsfolk_prompt_tokens", "Tokens prefilled", engine.prefilled_tokens),
            ("townsfolk_generation_tokens", "Tokens decoded", engine.generated_tokens),
            ("townsfolk_passes", "Forward passes", engine.passes),
            ("townsfolk_kv_evictions", "Sequences dropped from the KV cache", engine.evictions),
            (
                "townsfolk_requests_late",
                "Requests dropped because their deadline passed",
                engine.dropped_late,
            ),
            ("townsfolk_store_applied_rows", "Rows written to the database", store.applied),
            ("townsfolk_store_lost_rows", "Rows that not even the spool had room for", store.lost),
        ):
            yield CounterMetricFamily(name, text, value=value)
