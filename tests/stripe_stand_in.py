"""A payment provider that speaks like Stripe and is stricter: keys are obeyed, over-refunds and unknown fields refused.

It can fail on demand before the effect, after it, or by dropping the line in either place; a key whose first call was cut
off after the effect gives the first answer again, as Stripe's do.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "rk_test_stand_in"
FAILURES = ("before", "after", "drop_before", "drop_after", "slow")


@dataclass
class Provider:
    """Its books. `failures`: what happens to the next acts, one each."""

    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    charges: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    invoices: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, tuple[str, int, dict[str, Any]]] = field(default_factory=dict)
    going: set[str] = field(default_factory=set)
    failures: deque[str] = field(default_factory=deque)
    heard: list[tuple[str, str]] = field(default_factory=list)
    forgets_keys: bool = False
    numbers: Any = field(default_factory=itertools.count)

    def charge(self, amount: int = 2000, *, customer: str = "cus_1", refunded: int = 0) -> str:
        charge_id = f"ch_{next(self.numbers)}"
        self.charges[charge_id] = {
            "id": charge_id, "object": "charge", "amount": amount, "amount_refunded": refunded, "currency": "usd",
            "status": "succeeded", "paid": True, "refunded": refunded == amount, "disputed": False, "created": 1,
            "customer": customer, "description": "Pro", "payment_intent": None, "metadata": {},
        }  # fmt: skip
        return charge_id

    def subscribe(self, *, customer: str = "cus_1") -> str:
        subscription_id = f"sub_{next(self.numbers)}"
        price = {"id": "price_1", "object": "price", "nickname": "pro", "product": "prod_1"}
        item = {"id": "si_1", "object": "subscription_item", "price": price, "quantity": 1, "current_period_end": 99}
        self.subscriptions[subscription_id] = {
            "id": subscription_id, "object": "subscription", "status": "active", "customer": customer,
            "cancel_at_period_end": False, "created": 1, "metadata": {}, "items": _list([item]),
        }  # fmt: skip
        return subscription_id

    def invoice(self, status: str = "open", *, customer: str = "cus_1") -> str:
        invoice_id = f"in_{next(self.numbers)}"
        self.invoices[invoice_id] = {
            "id": invoice_id, "object": "invoice", "number": "N-1", "status": status, "customer": customer, "currency": "usd",
            "amount_due": 2000, "amount_paid": 0, "amount_remaining": 2000, "created": 1, "metadata": {},
        }  # fmt: skip
        return invoice_id

    def given_back(self, charge_id: str) -> int:
        return sum(refund["amount"] for refund in self.refunds.values() if refund["charge"] == charge_id)


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": "invalid_request_error", "code": code, "message": message}}


def application(provider: Provider) -> Starlette:
    async def answer(request: Request) -> Response:
        method, path = request.method, request.url.path
        provider.heard.append((method, path))
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"type": "invalid_request_error", "message": f"Invalid key {KEY}"}}, 401)
        try:
            if method == "GET":
                return JSONResponse(_read(provider, path, dict(request.query_params)))
            return await _written(provider, request, path)
        except Refused as refused:
            return JSONResponse(refused.body, refused.status)

    return Starlette(routes=[Route("/v1/{rest:path}", answer, methods=["GET", "POST", "DELETE"])])


async def _written(provider: Provider, request: Request, path: str) -> Response:
    body = (await request.body()).decode()
    fields = dict(parse_qsl(body, strict_parsing=bool(body)))
    key = request.headers.get("idempotency-key")
    if not key:
        raise Refused(400, "idempotency_key_missing", "every act needs a key here")
    what = json.dumps([path, sorted(fields.items())])
    if key in provider.going:
        raise Refused(409, "idempotency_key_in_use", "the same key is still at work")
    if key in provider.keys and not provider.forgets_keys:
        first, status, said = provider.keys[key]
        if first != what:
            raise Refused(400, "idempotency_error", "the key was used with other parameters")
        return JSONResponse(said, status, headers={"idempotent-replayed": "true"})
    failure = provider.failures.popleft() if provider.failures else ""
    if failure == "before":
        return JSONResponse({"error": {"type": "api_error"}}, 500)
    if failure == "drop_before":
        return _Dropped()
    provider.going.add(key)
    try:
        if failure == "slow":
            await asyncio.sleep(0.3)
        said = _act(provider, path, fields)
        provider.keys[key] = (what, 200, said)
    finally:
        provider.going.discard(key)
    if failure == "after":
        return JSONResponse({"error": {"type": "api_error"}}, 500)
    return _Dropped() if failure == "drop_after" else JSONResponse(said)


def _read(provider: Provider, path: str, query: dict[str, str]) -> dict[str, Any]:
    _, _, noun, *rest = path.split("/")
    books: dict[str, dict[str, Any]] = getattr(provider, noun, {})
    if rest:
        return _one(books, rest[0])
    allowed = {"customers": {"email"}, "charges": {"customer"}, "refunds": {"charge"}}.get(noun, {"customer", "status"})
    if unknown := set(query) - allowed - {"limit"}:
        raise Refused(400, "parameter_unknown", f"unknown: {unknown}")
    wanted = {name: value for name, value in query.items() if name != "limit" and value != "all"}
    found = [each for each in books.values() if all(str(each.get(name)) == value for name, value in wanted.items())]
    limit = int(query.get("limit", "10"))
    return {**_list(found[:limit]), "has_more": len(found) > limit, "url": path}


def _act(provider: Provider, path: str, fields: dict[str, str]) -> dict[str, Any]:
    match path.split("/")[2:]:
        case ["refunds"]:
            return _refund(provider, fields)
        case ["subscriptions", one]:
            _only(fields, {"cancel_at_period_end"})
            subscription = _one(provider.subscriptions, one)
            if subscription["status"] == "canceled":
                raise Refused(400, "resource_missing", "it has ended")
            subscription["cancel_at_period_end"] = fields["cancel_at_period_end"] == "true"
            return subscription
        case ["invoices", one, ("pay" | "void") as what]:
            _only(fields, set())
            invoice = _one(provider.invoices, one)
            if invoice["status"] != "open":
                raise Refused(400, "invoice_not_open", f"it is {invoice['status']}")
            invoice["status"] = "paid" if what == "pay" else "void"
            return invoice
    raise Refused(404, "resource_missing", "no such endpoint")


def _refund(provider: Provider, fields: dict[str, str]) -> dict[str, Any]:
    _only(fields, {"charge", "amount", "reason", "metadata[asoe_key]"})
    charge = _one(provider.charges, fields.get("charge", ""))
    left = charge["amount"] - charge["amount_refunded"]
    amount = int(fields.get("amount", left))
    if left == 0:
        raise Refused(400, "charge_already_refunded", "all of it was given back")
    if not 0 < amount <= left:
        raise Refused(400, "amount_too_large", f"{left} is left")
    if charge["disputed"]:
        raise Refused(400, "charge_disputed", "it is disputed")
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    refund_id = f"re_{next(provider.numbers)}"
    provider.refunds[refund_id] = {
        "id": refund_id, "object": "refund", "amount": amount, "currency": "usd", "status": "succeeded", "charge": charge["id"],
        "reason": fields.get("reason"), "created": 1, "metadata": {"asoe_key": fields.get("metadata[asoe_key]")},
    }  # fmt: skip
    return provider.refunds[refund_id]


def _one(books: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name not in books:
        raise Refused(404, "resource_missing", f"No such thing: {name}")
    return books[name]


def _only(fields: dict[str, str], known: set[str]) -> None:
    if unknown := set(fields) - known:
        raise Refused(400, "parameter_unknown", f"unknown: {unknown}")


def _list(items: list[Any]) -> dict[str, Any]:
    return {"object": "list", "data": items, "has_more": False, "url": "/"}


class _Dropped(Response):
    """The line breaks instead of an answer."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": False})
