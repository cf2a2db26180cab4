"""How what was read of a client's words for a slot is stored: amounts are texts, so that none is rounded."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from asoe.domain.runbook import Consent, SlotReading


def to_json(reading: SlotReading) -> dict[str, Any]:
    value, kind = reading.value, "plain"
    if isinstance(value, Consent):
        amount = None if value.amount is None else str(value.amount)
        value, kind = {"status": value.status, "amount": amount, "unit": value.unit}, "consent"
    elif isinstance(value, Decimal):
        value, kind = str(value), "number"
    return {
        "name": reading.name,
        "status": reading.status,
        "value": value,
        "kind": kind,
        "source": reading.source,
        "evidence": reading.evidence,
        "confidence": reading.confidence,
    }


def from_json(stored: Mapping[str, Any]) -> SlotReading:
    values = dict(stored)
    kind, value = values.pop("kind", "plain"), values.pop("value", None)
    if kind == "consent" and value is not None:
        amount = value.get("amount")
        value = Consent(value["status"], None if amount is None else Decimal(amount), value.get("unit"))
    elif kind == "number" and value is not None:
        value = Decimal(value)
    return SlotReading(value=value, **values)
