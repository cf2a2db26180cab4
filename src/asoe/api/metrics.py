"""What `/metrics` says: requests of this process and its other figures, and sums of the whole installation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from asoe.tracing import measures

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
        self._totals = {
            "tickets": Gauge("asoe_tickets", "Tickets by status.", ("status",), registry=self.registry),
            "outcomes": Gauge(
                "asoe_ticket_outcomes",
                "Tickets as the report counts them: all, at rest, handled, contained, verified, old enough to be durable, durable.",
                ("outcome",),
                registry=self.registry,
            ),
            "model": Gauge(
                "asoe_model_spent",
                "The language model over all days: tokens, cost in US dollars, calls, failures.",
                ("what",),
                registry=self.registry,
            ),
        }
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

    def sum_up(self, totals: Iterable[tuple[str, str, float]]) -> None:
        """Take over the sums of the installation, by name and label."""
        for name, label, total in totals:
            self._totals[name].labels(label).set(total)

    def forget(self) -> None:
        """What the database says is not known now."""
        self.jobs.clear()
        for gauge in self._totals.values():
            gauge.clear()

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry) + measures.text()
