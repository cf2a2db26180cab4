"""Prometheus counters of this process: requests by method, route template and status, their durations, live viewers."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_METHODS: Final = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"})
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """One registry per application, so that two in a process do not collide."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "asoe_http_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "asoe_http_request_seconds",
            "Time to the end of a response.",
            ("method", "route"),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.viewers = Gauge("asoe_live_viewers", "Open event streams.", registry=self.registry)
        self.jobs = Gauge("asoe_queue_jobs", "Jobs in the queue by state.", ("state",), registry=self.registry)
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note one answered request; `route` is a template, never a path."""
        named = (method if method in _METHODS else "OTHER", route, status)
        children = self._children.get(named)
        if children is None:
            children = (self._requests.labels(named[0], route, str(status)), self._seconds.labels(named[0], route))
            self._children[named] = children
        children[0].inc()
        children[1].observe(seconds)

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)
