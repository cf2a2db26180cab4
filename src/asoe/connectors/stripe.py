"""Stripe through its official SDK: customers, subscriptions, invoices, charges and refunds as actions.

Every call of the SDK leaves through the guard. A refund carries our key twice: as Stripe's idempotency key, and in its
metadata, where a probe finds it after Stripe has forgotten the key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import httpx
import stripe
from pydantic import Field, ValidationError

from asoe.connectors.contract import Action, ConnectorError, Health, Json, Probe
from asoe.connectors.kinds import Config, Kind, Opening, problems_of, refused
from asoe.connectors.mapping import Checker
from asoe.connectors.outbound import Outbound
from asoe.connectors.places import CONNECT_SECONDS, READ_SECONDS, rules_for
from asoe.domain.errors import FieldProblem

KIND: Final = "stripe"
API: Final = "https://api.stripe.com"
_KEY: Final = "asoe_key"
_MOST: Final = 100
_CHECK_SECONDS: Final = 10.0
_IN_PROGRESS: Final = (409,)

stripe.enable_telemetry = False


class StripeConfig(Config):
    """The configuration of a connector of this kind; its one secret is `key`, a restricted key."""

    url: str = API
    account: str | None = Field(None, pattern=r"^acct_\w+$")
    allow_http: bool = False
    connect_seconds: float = Field(CONNECT_SECONDS, gt=0, le=60)
    read_seconds: float = Field(READ_SECONDS, gt=0, le=300)


@dataclass(frozen=True, slots=True)
class _Way:
    """How one action is done: what it needs, and the SDK calls behind it."""

    action: Action
    call: Callable[[Any, Mapping[str, Any], dict[str, Any]], Awaitable[Json]]
    probe: Callable[[Any, Mapping[str, Any], str], Awaitable[Probe]] | None = None


@dataclass(frozen=True, slots=True)
class _Sending:
    what: str
    timeout: float
    is_act: bool


_sending: ContextVar[_Sending] = ContextVar("stripe_sending")


class StripeConnector:
    """One Stripe account."""

    kind = KIND

    def __init__(self, opening: Opening, config: StripeConfig) -> None:
        self.name = opening.name
        rules = rules_for(
            config.url,
            allow_http=config.allow_http,
            allow_private=opening.allow_private,
            connect_seconds=config.connect_seconds,
            read_seconds=config.read_seconds,
        )
        key = opening.secrets["key"]
        self._outbound = Outbound(rules, name=opening.name, secrets=[key])
        self._client = stripe.StripeClient(
            key,
            stripe_account=config.account,
            base_addresses={"api": config.url},
            max_network_retries=0,
            http_client=_Guarded(self._outbound),
        )

    def __repr__(self) -> str:
        return f"StripeConnector({self.name!r})"

    async def actions(self) -> Mapping[str, Action]:
        return {name: way.action for name, way in _WAYS.items()}

    async def read(self, action: str, arguments: Mapping[str, Json], *, timeout: float) -> Json:
        way = self._way(action, arguments, is_act=False)
        return await self._sent(way, arguments, options={}, timeout=timeout)

    async def act(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Json:
        way = self._way(action, arguments, is_act=True)
        return await self._sent(way, arguments, options={"idempotency_key": key}, timeout=timeout)

    async def probe(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Probe:
        way = self._way(action, arguments, is_act=True)
        if way.probe is None:
            return Probe("unknown")
        token = _sending.set(_Sending(f"the probe of {action}", timeout, is_act=False))
        try:
            return await way.probe(self._client.v1, arguments, key)
        except stripe.StripeError as error:
            raise self._odd(error, action) from None
        finally:
            _sending.reset(token)

    async def health(self) -> Health:
        started = time.perf_counter()
        token = _sending.set(_Sending("the check", _CHECK_SECONDS, is_act=False))
        try:
            await self._client.v1.charges.list_async({"limit": 1})
        except ConnectorError as error:
            return Health(is_up=False, detail=error.message)
        except stripe.StripeError as error:
            return Health(is_up=False, detail=self._odd(error, "the check").message)
        finally:
            _sending.reset(token)
        return Health(is_up=True, latency_ms=(time.perf_counter() - started) * 1000)

    async def close(self) -> None:
        await self._outbound.close()

    def _way(self, action: str, arguments: Mapping[str, Json], *, is_act: bool) -> _Way:
        way = _WAYS.get(action)
        if way is None:
            raise ConnectorError(
                f"{self.name}: there is no action {action!r}; there are {', '.join(_WAYS)}.", permanent=True
            )
        if (way.action.risk != "read") is not is_act:
            raise ConnectorError(f"{self.name}: {action} is {'no' if is_act else 'an'} act.", permanent=True)
        problem = _CHECKS[action].problem(arguments)
        if problem is not None:
            raise ConnectorError(f"{self.name}: {action} is not called: {problem}.", permanent=True)
        return way

    async def _sent(self, way: _Way, arguments: Mapping[str, Json], *, options: dict[str, Any], timeout: float) -> Json:
        is_act = way.action.risk != "read"
        token = _sending.set(_Sending(way.action.name, timeout, is_act))
        try:
            return await way.call(self._client.v1, arguments, options)
        except stripe.StripeError as error:
            raise self._odd(error, way.action.name, is_act=is_act) from None
        finally:
            _sending.reset(token)

    def _odd(self, error: stripe.StripeError, what: str, *, is_act: bool = False) -> ConnectorError:
        """An answer that the SDK could not read; refusals never come this far."""
        return ConnectorError(
            f"{self.name}: {what} was answered with what is not Stripe's language ({type(error).__name__}).",
            permanent=not is_act,
            effect="unknown" if is_act else "none",
        )


class _Guarded(stripe.HTTPClient):
    """The SDK's way out: through the guard, refusals as `ConnectorError`."""

    name = "asoe"

    def __init__(self, outbound: Outbound) -> None:
        super().__init__()
        self._outbound = outbound

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        sending = _sending.get()
        request = httpx.Request(method.upper(), url, headers=dict(headers), content=post_data or None)
        answer = await self._outbound.send(
            request, what=sending.what, timeout=sending.timeout, may_have_effect=sending.is_act
        )
        refusal = self._outbound.refusal(
            answer,
            what=sending.what,
            may_have_effect=sending.is_act,
            in_progress=_IN_PROGRESS,
            code=_code_of(answer.content),
        )
        if refusal is not None:
            raise refusal
        return answer.content, answer.status, answer.headers

    def sleep_async(self, secs: float) -> Awaitable[None]:
        raise NotImplementedError("retries are decided by whoever acts")

    async def close_async(self) -> None:
        """The guard is closed by its owner."""


def open_stripe(opening: Opening) -> StripeConnector:
    """A connector of a stored configuration; calls nobody."""
    return StripeConnector(opening, _read(opening))


async def prepare_stripe(opening: Opening, given: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG001  # the contract of a kind
    """Check a configuration; nobody is asked."""
    _read(opening)
    return dict(opening.config)


def _read(opening: Opening) -> StripeConfig:
    try:
        config = StripeConfig.model_validate(dict(opening.config))
    except ValidationError as error:
        raise refused(problems_of(error)) from None
    problems = []
    if set(opening.secrets) != {"key"}:
        problems.append(FieldProblem("secrets", "must be one, named key: a restricted key of the Stripe account"))
    try:
        rules_for(config.url, allow_http=config.allow_http, allow_private=opening.allow_private)
    except ValueError as error:
        problems.append(FieldProblem("config.url", str(error)))
    if problems:
        raise refused(problems)
    return config


def _code_of(content: bytes) -> str:
    """Stripe's own word for a refusal; never its sentence, which may quote what was sent."""
    try:
        error = json.loads(content)["error"]
        return str(error.get("code") or error.get("type") or "")[:60]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


# --- the actions ---


def _object(required: Mapping[str, Json], optional: Mapping[str, Json] | None = None) -> Json:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def _id(prefix: str) -> Json:
    return {"type": "string", "pattern": rf"^{prefix}_\w+$", "maxLength": 255}


def _plain(found: Any, *names: str) -> dict[str, Any]:
    data = found.to_dict()
    return {name: data.get(name) for name in names}


_CUSTOMER: Final = ("id", "email", "name", "delinquent", "balance", "currency", "created", "metadata")
_INVOICE: Final = (
    "id", "number", "status", "customer", "currency", "amount_due", "amount_paid", "amount_remaining", "created", "metadata",
)  # fmt: skip
_CHARGE: Final = (
    "id", "amount", "amount_refunded", "currency", "status", "paid", "refunded", "disputed", "created", "customer",
    "description", "payment_intent", "metadata",
)  # fmt: skip
_REFUND: Final = ("id", "amount", "currency", "status", "charge", "reason", "created", "metadata")


def _subscription(found: Any) -> dict[str, Any]:
    data = found.to_dict()
    items = (data.get("items") or {}).get("data") or []
    first = items[0] if items else {}
    price = first.get("price") or {}
    return {
        **{
            name: data.get(name) for name in ("id", "status", "customer", "cancel_at_period_end", "created", "metadata")
        },
        "price": price.get("id"),
        "plan": price.get("nickname") or price.get("lookup_key"),
        "product": price.get("product"),
        "quantity": first.get("quantity"),
        "current_period_end": first.get("current_period_end") or data.get("current_period_end"),
    }


def _charge(found: Any) -> dict[str, Any]:
    charge = _plain(found, *_CHARGE)
    return {**charge, "left": (charge["amount"] or 0) - (charge["amount_refunded"] or 0)}


async def _find_customers(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    found = await v1.customers.list_async({"email": given["email"], "limit": _MOST}, options)
    return {"items": [_plain(each, *_CUSTOMER) for each in found.data]}


async def _get_customer(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    return _plain(await v1.customers.retrieve_async(given["id"], {}, options), *_CUSTOMER)


async def _list_subscriptions(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    wanted = {"customer": given["customer"], "status": given.get("status", "all"), "limit": _MOST}
    return {"items": [_subscription(each) for each in (await v1.subscriptions.list_async(wanted, options)).data]}


async def _get_subscription(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    return _subscription(await v1.subscriptions.retrieve_async(given["id"], {}, options))


async def _list_invoices(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    wanted = {"customer": given["customer"], "limit": _MOST}
    if "status" in given:
        wanted["status"] = given["status"]
    return {"items": [_plain(each, *_INVOICE) for each in (await v1.invoices.list_async(wanted, options)).data]}


async def _get_invoice(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    return _plain(await v1.invoices.retrieve_async(given["id"], {}, options), *_INVOICE)


async def _list_charges(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    found = await v1.charges.list_async({"customer": given["customer"], "limit": _MOST}, options)
    return {"items": [_charge(each) for each in found.data]}


async def _get_charge(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    return _charge(await v1.charges.retrieve_async(given["id"], {}, options))


async def _list_refunds(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    found = await v1.refunds.list_async({"charge": given["charge"], "limit": _MOST}, options)
    return {"items": [_plain(each, *_REFUND) for each in found.data]}


async def _refund(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    wanted: dict[str, Any] = {"charge": given["charge"], "metadata": {_KEY: options["idempotency_key"]}}
    wanted |= {name: given[name] for name in ("amount", "reason") if name in given}
    return _plain(await v1.refunds.create_async(wanted, options), *_REFUND)


async def _probe_refund(v1: Any, given: Mapping[str, Any], key: str) -> Probe:
    found = await v1.refunds.list_async({"charge": given["charge"], "limit": _MOST})
    for each in found.data:
        refund = _plain(each, *_REFUND)
        if (refund["metadata"] or {}).get(_KEY) == key:
            return Probe("done", refund) if refund["status"] not in {"failed", "canceled"} else Probe("unknown", refund)
    return Probe("unknown") if found.has_more else Probe("not_done")


def _ending(*, at_period_end: bool) -> Any:
    async def call(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
        changed = await v1.subscriptions.update_async(given["id"], {"cancel_at_period_end": at_period_end}, options)
        return _subscription(changed)

    return call


def _probe_ending(*, at_period_end: bool) -> Any:
    async def probe(v1: Any, given: Mapping[str, Any], key: str) -> Probe:  # noqa: ARG001  # what stands says it
        found = _subscription(await v1.subscriptions.retrieve_async(given["id"]))
        return Probe("done", found) if found["cancel_at_period_end"] is at_period_end else Probe("not_done", found)

    return probe


async def _pay_invoice(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    return _plain(await v1.invoices.pay_async(given["id"], {}, options), *_INVOICE)


async def _void_invoice(v1: Any, given: Mapping[str, Any], options: dict[str, Any]) -> Json:
    return _plain(await v1.invoices.void_invoice_async(given["id"], {}, options), *_INVOICE)


def _probe_invoice(status: str) -> Any:
    async def probe(v1: Any, given: Mapping[str, Any], key: str) -> Probe:  # noqa: ARG001  # what stands says it
        found = _plain(await v1.invoices.retrieve_async(given["id"]), *_INVOICE)
        return Probe("done" if found["status"] == status else "not_done", found)

    return probe


def _act(name: str, says: str, arguments: Json, call: Any, probe: Any, **more: Any) -> _Way:
    return _Way(Action(name, description=says, arguments=arguments, has_probe=True, **more), call, probe)


def _reading(name: str, says: str, arguments: Json, call: Any) -> _Way:
    return _Way(Action(name, "read", says, arguments), call)


_STATUS: Final = {"type": "string", "maxLength": 40}
_ALL: Final = (
    _reading("find_customers", "By e-mail address: {items}.", _object({"email": {"type": "string", "maxLength": 320}}), _find_customers),
    _reading("get_customer", "One customer.", _object({"id": _id("cus")}), _get_customer),
    _reading("list_subscriptions", "A customer's: {items}.", _object({"customer": _id("cus")}, {"status": _STATUS}), _list_subscriptions),
    _reading("get_subscription", "One subscription with its price.", _object({"id": _id("sub")}), _get_subscription),
    _reading("list_invoices", "A customer's: {items}.", _object({"customer": _id("cus")}, {"status": _STATUS}), _list_invoices),
    _reading("get_invoice", "One invoice.", _object({"id": _id("in")}), _get_invoice),
    _reading("list_charges", "A customer's, amounts in the smallest unit: {items}.", _object({"customer": _id("cus")}), _list_charges),
    _reading("get_charge", "One charge, and what is `left` of it to give back.", _object({"id": _id("(ch|py)")}), _get_charge),
    _reading("list_refunds", "Of a charge: {items}.", _object({"charge": _id("(ch|py)")}), _list_refunds),
    _act(
        "refund", "Give a charge back, wholly or the amount given (smallest unit).",
        _object(
            {"charge": _id("(ch|py)")},
            {
                "amount": {"type": "integer", "minimum": 1},
                "reason": {"enum": ["duplicate", "fraudulent", "requested_by_customer"]},
            },
        ),
        _refund, _probe_refund, risk="costly", repeats="by_key", amount="amount",
    ),
    _act(
        "cancel_at_period_end", "Let a subscription end with the period paid for.", _object({"id": _id("sub")}),
        _ending(at_period_end=True), _probe_ending(at_period_end=True), risk="reversible", repeats="naturally", undo="keep_subscription",
    ),
    _act(
        "keep_subscription", "Let a subscription that was to end go on.", _object({"id": _id("sub")}),
        _ending(at_period_end=False), _probe_ending(at_period_end=False), risk="reversible", repeats="naturally", undo="cancel_at_period_end",
    ),
    _act("pay_invoice", "Charge an open invoice to the stored way of paying.", _object({"id": _id("in")}), _pay_invoice, _probe_invoice("paid"), risk="irreversible", repeats="by_key"),
    _act("void_invoice", "Void an open invoice for good.", _object({"id": _id("in")}), _void_invoice, _probe_invoice("void"), risk="irreversible", repeats="by_key"),
)  # fmt: skip
_WAYS: Final = {way.action.name: way for way in _ALL}
_CHECKS: Final = {name: Checker(way.action.arguments) for name, way in _WAYS.items()}

STRIPE: Final = Kind(KIND, "Stripe: charges, refunds, subscriptions, invoices", open_stripe, prepare_stripe)
