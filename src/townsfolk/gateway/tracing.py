"""A span for each call, below the caller's own where it sends `traceparent` (W3C), as the mod does.

OpenTelemetry's API alone: unless serving/ sets up an exporter, all of this does nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACER = trace.get_tracer("townsfolk.gateway")


@contextmanager
def call_span(name: str, headers: Iterable[tuple[str | bytes, str | bytes]]) -> Iterator[Span]:
    """The span of a call that came with `headers`; what is not a proper `traceparent` begins a new trace."""
    sent = {_text(key): _text(value) for key, value in headers}
    context = TraceContextTextMapPropagator().extract(sent)
    with TRACER.start_as_current_span(name, context=context, kind=SpanKind.SERVER) as span:
        yield span


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
