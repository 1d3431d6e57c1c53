"""Request counts and latencies for Prometheus: by route and code, never by anything a caller chose."""

from prometheus_client import CollectorRegistry

from townsfolk.metrics import counter, histogram


class CallMetrics:
    """One protocol's calls: `townsfolk_{protocol}_requests_total`, `townsfolk_{protocol}_request_seconds`."""

    def __init__(self, protocol: str, registry: CollectorRegistry) -> None:
        self._count = counter(f"townsfolk_{protocol}_requests_total", registry)
        self._seconds = histogram(f"townsfolk_{protocol}_request_seconds", registry)

    def observe(self, route: str, code: str, seconds: float) -> None:
        """Count one answered call."""
        self._count.labels(route, code).inc()
        self._seconds.labels(route).observe(seconds)
