"""Alerts of monitoring systems: what one says, what proves who sent it, and which message about it is news.

Pure. An alert is known by its fingerprint; an episode of it by when it began. So a message that comes twice, late or is played back
says nothing new, whatever the sender proves itself by.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

KINDS: Final = ("alertmanager", "grafana", "generic")
PROOFS: Final[dict[str, str]] = {
    "bearer": "`Authorization: Bearer …`: what Alertmanager can send",
    "hmac": "HMAC-SHA256 in hex, as Grafana signs: over the body, or over `timestamp:body`",
    "standard": "Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature",
}
MOST_AT_ONCE: Final = 500
TOLERANCE: Final = timedelta(minutes=5)
SIGNATURE: Final = "x-grafana-alerting-signature"
TIMESTAMP: Final = "x-grafana-alerting-timestamp"
_MOST_LABELS: Final = 64
_MOST_TEXT: Final = 200

News = Literal["fires", "over", "old"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as a message tells it. `group`: alerts of one group are one cause."""

    fingerprint: str
    is_firing: bool
    starts_at: datetime
    title: str = ""
    ends_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an alert so far."""

    is_firing: bool
    starts_at: datetime
    ends_at: datetime | None


def news_of(alert: Alert, known: Known | None) -> News:
    """`old`: nothing new. An episode that is over never begins again, however often it is told."""
    if known is None:
        return "fires" if alert.is_firing else "old"
    if alert.is_firing:
        return "fires" if alert.starts_at > known.starts_at else "old"
    return "over" if known.is_firing and alert.starts_at >= known.starts_at else "old"


def clipped(labels: Mapping[str, Any]) -> dict[str, str]:
    """Labels as they are kept: few and short."""
    found = sorted((str(name)[:_MOST_TEXT], str(value)[:_MOST_TEXT]) for name, value in labels.items())
    return dict(found[:_MOST_LABELS])


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """For senders that give none."""
    text = "\x00".join(f"{name}\x01{value}" for name, value in sorted(labels.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def why_unsigned(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now: datetime) -> str | None:
    """Why an HMAC as Grafana makes it (hex; over the body, or over `timestamp:body`) proves nothing; None: it does."""
    given = headers.get(SIGNATURE, "").strip().lower()
    if not given:
        return f"the header {SIGNATURE} is missing"
    stamp = headers.get(TIMESTAMP, "").strip()
    if stamp:
        if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
            return f"{TIMESTAMP} is no Unix time"
        if abs(int(stamp) - now.timestamp()) > TOLERANCE.total_seconds():
            return f"{TIMESTAMP} is more than {TOLERANCE.seconds // 60} minutes off"
    text = stamp.encode() + b":" + body if stamp else body
    for secret in secrets:
        wanted = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
        if hmac.compare_digest(wanted.encode(), given.encode()):
            return None
    return "the signature does not fit the body"


def why_unknown(headers: Mapping[str, str], *, secrets: Sequence[str]) -> str | None:
    """Why the bearer token proves nothing; None: it does."""
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return "the header Authorization: Bearer is missing"
    is_known = [hmac.compare_digest(secret.encode(), token.strip().encode()) for secret in secrets]
    return None if any(is_known) else "the token is not this source's"
