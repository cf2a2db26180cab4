"""Figures of this process: how often, how long. For Prometheus always, over OTLP as well where a collector is named.

Labels are classes of ours, never ids: whoever counts per organization or ticket reads the reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: what it says, by which labels; `is_time`: a histogram of seconds, not a count."""

    says: str
    labels: tuple[str, ...]
    is_time: bool = False


MEASURES: Final[Mapping[str, Measure]] = {
    "asoe_jobs": Measure("Tries of jobs that ended, by how.", ("job", "outcome")),
    "asoe_job_seconds": Measure("How long a try of a job took.", ("job",), is_time=True),
    "asoe_tickets_opened": Measure("Tickets accepted.", ("channel",)),
    "asoe_ticket_steps": Measure("Steps of tickets' journeys, by what came of them.", ("step",)),
    "asoe_acts": Measure("Acts of runbooks that ended, by risk and how.", ("risk", "status")),
    "asoe_runs_ended": Measure("Runs of runbooks that ended, by mode and verdict.", ("mode", "verdict")),
    "asoe_connector_seconds": Measure(
        "How long a call to an outside system took.", ("operation", "outcome"), is_time=True
    ),
    "asoe_model_calls": Measure("Questions to the language model, by use and outcome.", ("use", "outcome")),
    "asoe_model_used_tokens": Measure("Tokens of the language model, sent and received.", ("direction",)),
    "asoe_deliveries": Measure("Tries of mails and webhooks, by how they ended.", ("channel", "outcome")),
}
REGISTRY: Final = CollectorRegistry()
_KEPT: Final[dict[str, Counter | Histogram]] = {
    name: (
        Histogram(name, measure.says, measure.labels, registry=REGISTRY, buckets=SECONDS)
        if measure.is_time
        else Counter(name, measure.says, measure.labels, registry=REGISTRY)
    )
    for name, measure in MEASURES.items()
}
_children: dict[tuple[str, ...], Any] = {}
_sent: dict[str, Callable[[float, dict[str, str]], None]] = {}


def count(name: str, *labels: str, by: float = 1) -> None:
    """Add to a count; labels in the order of `MEASURES`."""
    child = _child(name, labels)
    child.inc(by)
    if _sent:
        _send(name, labels, by)


def took(name: str, seconds: float, *labels: str) -> None:
    """Note how long something took."""
    _child(name, labels).observe(seconds)
    if _sent:
        _send(name, labels, seconds)


def text() -> bytes:
    """The exposition format of Prometheus."""
    return generate_latest(REGISTRY)


def listen(meter: Meter | None) -> None:
    """Give the figures to this meter, too, from now on; None: to nobody."""
    _sent.clear()
    if meter is None:
        return
    for name, measure in MEASURES.items():
        named = name.replace("_", ".", 1)
        if measure.is_time:
            _sent[name] = meter.create_histogram(
                named, unit="s", description=measure.says, explicit_bucket_boundaries_advisory=SECONDS
            ).record
        else:
            _sent[name] = meter.create_counter(named, description=measure.says).add


def is_sent() -> bool:
    """Whether a collector gets them in this process."""
    return bool(_sent)


def _child(name: str, labels: tuple[str, ...]) -> Any:
    child = _children.get((name, *labels))
    if child is None:
        child = _children[(name, *labels)] = _KEPT[name].labels(*labels)
    return child


def _send(name: str, labels: tuple[str, ...], amount: float) -> None:
    _sent[name](amount, dict(zip(MEASURES[name].labels, labels, strict=True)))
