"""Request counts and latencies for Prometheus: by route and code, never by anything a caller chose."""

from prometheus_client import CollectorRegistry, Counter, Histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class CallMetrics:
    """One protocol's calls: `townsfolk_{protocol}_requests_total`, `townsfolk_{protocol}_request_seconds`."""

    def __init__(self, protocol: str, registry: CollectorRegistry) -> None:
        self._count = Counter(
            f"townsfolk_{protocol}_requests",
            f"Calls answered over {protocol}, by route and status code",
            ("route", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            f"townsfolk_{protocol}_request_seconds",
            f"Time from a call's arrival over {protocol} to the end of its answer",
            ("route",),
            registry=registry,
            buckets=BUCKETS,
        )

    def observe(self, route: str, code: str, seconds: float) -> None:
        """Count one answered call."""
        self._count.labels(route, code).inc()
        self._seconds.labels(route).observe(seconds)
