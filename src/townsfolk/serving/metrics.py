"""What Prometheus is told of turns, engine, adapters and store. `townsfolk.metrics` says what each is."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from townsfolk import __version__
from townsfolk.engine import Engine, PassReport
from townsfolk.feedback.store import Store
from townsfolk.metrics import Reading, counter, family, histogram
from townsfolk.serving.adapters import AdapterShelf

SHORT = 16
REFUSALS = ("busy", "frozen", "late", "stale", "invalid")

Readings = Callable[[], Iterable[Reading]]


class Metrics:
    """Counters that turns write to, and figures that are read when Prometheus asks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.latency = histogram("townsfolk_inference_latency_seconds", registry)
        self.first_part = histogram("townsfolk_first_part_latency_seconds", registry)
        self.actions = counter("townsfolk_agent_action_count_total", registry)
        self.turns = counter("townsfolk_turns_total", registry)
        self.fallbacks = counter("townsfolk_fallbacks_total", registry)
        self.violations = counter("townsfolk_policy_violations_total", registry)
        self.ratings = counter("townsfolk_ratings_total", registry)
        self._pass_seconds = histogram("townsfolk_pass_seconds", registry)
        self._pass_rows = histogram("townsfolk_pass_rows", registry)
        for reason in REFUSALS:  # a rate can only be told of what was 0 before
            self.fallbacks.labels(reason)
        for value in ("up", "down"):
            self.ratings.labels(value)
        self._figures = _Figures()
        registry.register(self._figures)
        ProcessCollector(registry=registry)

    def passed(self, report: PassReport) -> None:
        """The engine's observer."""
        self._pass_seconds.observe(report.seconds)
        self._pass_rows.observe(report.rows)

    def read(self, of: str, readings: Readings) -> None:
        """Ask `readings` whenever Prometheus asks; a later one `of` the same replaces it."""
        self._figures.readings[of] = readings


class _Figures(Collector):
    def __init__(self) -> None:
        self.readings: dict[str, Readings] = {}

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for readings in self.readings.values():
            for name, value, labels in readings():
                families.setdefault(name, family(name)).add_metric(labels, value)
        yield from families.values()


def readings_of_engine(engine: Engine) -> Iterator[Reading]:
    """A snapshot of the engine."""
    stats = engine.stats()
    for name, value in (
        ("townsfolk_num_requests_waiting", stats.queue_length),
        ("townsfolk_num_requests_running", stats.running_rows),
        ("townsfolk_kv_cache_usage_ratio", stats.kv_used),
        ("townsfolk_adapters_loaded", stats.adapters_loaded),
        ("townsfolk_adapters_resident", stats.adapters_resident),
        ("townsfolk_prompt_tokens_total", stats.prefilled_tokens),
        ("townsfolk_generation_tokens_total", stats.generated_tokens),
        ("townsfolk_passes_total", stats.passes),
        ("townsfolk_kv_evictions_total", stats.evictions),
        ("townsfolk_requests_late_total", stats.dropped_late),
    ):
        yield name, value, ()
    yield "townsfolk_build_info", 1, (__version__, engine.runner_name)


def readings_of_store(store: Store) -> Iterator[Reading]:
    """A snapshot of the store; it asks no database."""
    stats = store.stats()
    for name, value in (
        ("townsfolk_store_up", not stats.last_error),
        ("townsfolk_store_spooled_rows", stats.spooled),
        ("townsfolk_store_spool_bytes", stats.spool_bytes),
        ("townsfolk_store_applied_rows_total", stats.applied),
        ("townsfolk_store_rejected_rows_total", stats.rejected),
        ("townsfolk_store_lost_rows_total", stats.lost),
    ):
        yield name, value, ()


def readings_of_shelf(shelf: AdapterShelf, personas: Iterable[str]) -> Iterator[Reading]:
    """Which version each persona is served with."""
    yield "townsfolk_adapter_faults", shelf.faulty, ()
    for persona in personas:
        served = shelf.served(persona)
        live = served.live.content_hash[:SHORT] if served.live else "base"
        yield "townsfolk_persona_adapter_info", 1, (persona, live, "live")
        if served.trial:
            yield "townsfolk_persona_adapter_info", 1, (persona, served.trial.content_hash[:SHORT], "trial")
