"""What is counted, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from sterna.server._logs import Line

__all__ = ["METRICS_TYPE", "Metrics"]

METRICS_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counts of one service, in a registry of its own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "sterna_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "sterna_request_seconds", "Time to answer.", ("route",), registry=registry, buckets=_SECONDS
        )
        self._batches = Histogram(
            "sterna_batch_size",
            "Texts or images embedded together.",
            ("kind",),
            registry=registry,
            buckets=_SIZES,
        )
        self.decoders_ended = Counter(
            "sterna_decoders_ended", "Processes ended because an image took too long or broke them.",
            registry=registry,
        )  # fmt: skip
        self.thumbnails = Counter(
            "sterna_thumbnails", "Small pictures asked for.", ("kept",), registry=registry
        )
        self.waiting = Gauge("sterna_waiting", "Texts, images and other work that wait.", registry=registry)
        self.photos = Gauge("sterna_photos", "Photographs that can be found.", registry=registry)
        self.jobs = Counter("sterna_jobs", "Jobs that ended.", ("state",), registry=registry)

    def request(self, line: Line) -> None:
        """Count a request."""
        self._requests.labels(
            line.method if line.method in _METHODS else "other", line.route, line.status
        ).inc()
        self._seconds.labels(line.route).observe(line.seconds)

    def batch(self, kind: str, size: int) -> None:
        """Count what was embedded together."""
        self._batches.labels(kind).observe(size)

    def text(self) -> bytes:
        """All counts as text."""
        return generate_latest(self._registry)


_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
