"""The credit ledger as a connector: reads of balances and charges, and one act, the refund of a charge for failed work.

The ledger itself is handed in; it lives in our own database, so intent, posting and outcome are one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Protocol
from uuid import UUID

from asoe.connectors.contract import Action, ConnectorError, Health, Json, Probe

EXACT_BELOW: Final = 1_000_000_000
"""A float keeps fifteen digits: below this, six decimals are exact."""
_CLIENT: Final = {"type": "string", "minLength": 1, "maxLength": 200, "description": "As the product calls the client."}
_CHARGE: Final = {"type": "string", "format": "uuid"}

ACTIONS: Final = {
    action.name: action
    for action in (
        Action(
            "balance",
            "read",
            "What a client can spend and what is held: {available, held}.",
            {
                "type": "object",
                "required": ["client"],
                "properties": {"client": _CLIENT},
                "additionalProperties": False,
            },
        ),
        Action(
            "charges",
            "read",
            "A client's charges, newest first: {items: [{id, amount, work, outcome, refunded, posted_at, memo}]}.",
            {
                "type": "object",
                "required": ["client"],
                "properties": {"client": _CLIENT, "work": {"type": "string", "maxLength": 200}},
                "additionalProperties": False,
            },
        ),
        Action(
            "charge",
            "read",
            "One charge with the outcome of its work and what was refunded of it.",
            {
                "type": "object",
                "required": ["charge_id"],
                "properties": {"charge_id": _CHARGE},
                "additionalProperties": False,
            },
        ),
        Action(
            "refund",
            "costly",
            "Give a charge for failed work back, wholly or in part.",
            {
                "type": "object",
                "required": ["charge_id", "amount"],
                "properties": {
                    "charge_id": _CHARGE,
                    "amount": {"type": ["number", "string"], "description": "Credits, above zero."},
                    "memo": {"type": "string", "maxLength": 500},
                },
                "additionalProperties": False,
            },
            repeats="by_key",
            has_probe=True,
            amount="amount",
        ),
    )
}


class LedgerRefusal(Exception):
    """The ledger's rules say no; `message` says why."""

    def __init__(self, message: str, *, is_missing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.is_missing = is_missing


class Ledger(Protocol):
    """What the connector needs of the ledger; raises `LedgerRefusal`."""

    async def balance(self, client: str) -> Json: ...

    async def charges(self, client: str, work: str | None) -> list[Json]: ...

    async def charge(self, charge_id: UUID) -> Json: ...

    async def refund(
        self, connection: Any | None, charge_id: UUID, amount: Decimal, *, key: str, memo: str
    ) -> Json: ...

    async def posted(self, key: str) -> Json | None: ...


class CreditsConnector:
    """One organization's ledger."""

    kind = "credits"

    def __init__(self, ledger: Ledger, org_id: UUID) -> None:
        self._ledger = ledger
        self._org_id = org_id

    async def actions(self) -> Mapping[str, Action]:
        return ACTIONS

    async def read(self, action: str, arguments: Mapping[str, Json], *, timeout: float) -> Json:
        try:
            async with asyncio.timeout(timeout):
                return await self._read(action, arguments)
        except TimeoutError:
            raise ConnectorError(f"credits: no answer within {timeout:g} s.", permanent=False) from None
        except LedgerRefusal as refusal:
            raise ConnectorError(refusal.message, permanent=True, is_missing=refusal.is_missing) from refusal

    async def _read(self, action: str, arguments: Mapping[str, Json]) -> Json:
        match action:
            case "balance":
                return await self._ledger.balance(str(arguments["client"]))
            case "charges":
                work = arguments.get("work")
                items = await self._ledger.charges(str(arguments["client"]), None if work is None else str(work))
                return {"items": items}
            case "charge":
                return await self._ledger.charge(_id(arguments["charge_id"]))
        raise ConnectorError(f"credits: {action!r} is no read; there are balance, charges and charge.", permanent=True)

    async def act(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Json:
        try:
            async with asyncio.timeout(timeout):
                return await self._refund(None, action, arguments, key=key)
        except TimeoutError:
            raise ConnectorError(
                f"credits: no answer within {timeout:g} s.", permanent=False, effect="unknown"
            ) from None

    async def act_within(
        self,
        connection: Any,
        action: str,
        arguments: Mapping[str, Json],
        *,
        key: str,
        org_id: UUID,
    ) -> Json:
        """The refund in the caller's transaction."""
        if org_id != self._org_id:
            raise ConnectorError("credits: this is another organization's ledger.", permanent=True)
        return await self._refund(connection, action, arguments, key=key)

    async def probe(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Probe:  # noqa: ARG002  # the key alone finds it
        if action != "refund":
            raise ConnectorError(f"credits: there is no act {action!r}, only refund.", permanent=True)
        try:
            async with asyncio.timeout(timeout):
                posted = await self._ledger.posted(key)
        except TimeoutError:
            return Probe("unknown")
        return Probe("not_done") if posted is None else Probe("done", posted)

    async def health(self) -> Health:
        return Health(is_up=True, detail="The ledger is part of this installation.")

    async def close(self) -> None:
        """Nothing is held."""

    async def _refund(self, connection: Any | None, action: str, arguments: Mapping[str, Json], *, key: str) -> Json:
        if action != "refund":
            raise ConnectorError(f"credits: there is no act {action!r}, only refund.", permanent=True)
        try:
            return await self._ledger.refund(
                connection,
                _id(arguments["charge_id"]),
                _amount(arguments["amount"]),
                key=key,
                memo=str(arguments.get("memo", "")),
            )
        except LedgerRefusal as refusal:
            raise ConnectorError(refusal.message, permanent=True, is_missing=refusal.is_missing) from refusal


def _id(value: Json) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise ConnectorError(f"credits: {value!r} is no id of a charge.", permanent=True, is_missing=True) from None


def _amount(value: Json) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0 or isinstance(value, bool):
        raise ConnectorError(f"credits: the amount must be a number above zero, not {value!r}.", permanent=True)
    if amount != round(amount, 6) or (isinstance(value, float) and amount >= EXACT_BELOW):
        problem = (
            f"{value!r} has more digits than are safe: use a text with at most six decimals, such as a charge's `left`"
        )
        raise ConnectorError(f"credits: {problem}.", permanent=True)
    return amount
