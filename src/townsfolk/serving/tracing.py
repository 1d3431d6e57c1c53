"""Traces: one from a game's step to what its villagers answer, by OpenTelemetry.

    the game's step ─► POST /v1/step ─► turn ─► queue, prefill, decode
                                         └────► delivery, one for each part: until the game has taken it

Spans name villagers and turns, never what was said. Without `telemetry.otlp_endpoint` nothing is recorded.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace

from townsfolk import __version__
from townsfolk.config import TelemetrySettings
from townsfolk.engine import Timings
from townsfolk.errors import ConfigError

TRACER = trace.get_tracer("townsfolk.serving")


@contextmanager
def exporting(settings: TelemetrySettings) -> Iterator[None]:
    """Send spans to `settings.otlp_endpoint` until the block ends, and what waits then.

    Raises:
        ConfigError: the SDK is not installed.
    """
    if not settings.otlp_endpoint:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"telemetry.otlp_endpoint is set, but {error.name} is not installed: "
            "pip install 'townsfolk[telemetry]'"
        ) from error
    # The share is ours to decide: a game marks all of its traces.
    provider = TracerProvider(
        sampler=TraceIdRatioBased(settings.share),
        resource=Resource.create({"service.name": "townsfolk", "service.version": __version__}),
    )
    where = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=where)))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


def trace_decoding(timings: Timings) -> None:
    """Spans of a request that has just ended, from what the engine measured."""
    parts = {"queue": timings.queue_ms, "prefill": timings.prefill_ms, "decode": timings.decode_ms}
    at = time.time_ns() - _ns(sum(parts.values()))
    for name, ms in parts.items():
        span = TRACER.start_span(name, start_time=at)
        at += _ns(ms)
        span.end(end_time=at)


def _ns(ms: float) -> int:
    return int(ms * 1e6)
