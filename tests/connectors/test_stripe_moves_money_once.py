"""The Stripe connector against a stricter stand-in: one refund for one key, whatever breaks; no secret in any message."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from connector_cast import served

from asoe.connectors.contract import ConnectorError
from asoe.connectors.kinds import Opening
from asoe.connectors.stripe import STRIPE, open_stripe
from asoe.domain.errors import Invalid
from stripe_stand_in import FAILURES, KEY, Provider, application


@pytest.fixture
def provider():
    made = Provider()
    made.customers["cus_1"] = {"id": "cus_1", "object": "customer", "email": "ana@example.org", "name": "Ana"}
    return made


@pytest.fixture
async def stripe(provider):
    async with served(application(provider)) as url:
        made = open_stripe(opening(url))
        yield made
        await made.close()


def opening(url, key=KEY, **config):
    return Opening(
        UUID(int=1), "payments", {"url": url, "allow_http": True, **config}, {"key": key}, allow_private=True
    )


async def refund(stripe, charge, key="k1", timeout=5, **more):
    return await stripe.act("refund", {"charge": charge, **more}, key=key, timeout=timeout)


async def test_what_is_there_is_read(stripe, provider):
    charge, subscription, invoice = provider.charge(refunded=500), provider.subscribe(), provider.invoice()
    (customer,) = (await stripe.read("find_customers", {"email": "ana@example.org"}, timeout=5))["items"]
    assert (customer["id"], customer["name"]) == ("cus_1", "Ana")
    (charged,) = (await stripe.read("list_charges", {"customer": "cus_1"}, timeout=5))["items"]
    assert (charged["id"], charged["left"]) == (charge, 1500)
    (found,) = (await stripe.read("list_subscriptions", {"customer": "cus_1"}, timeout=5))["items"]
    assert (found["id"], found["plan"], found["current_period_end"]) == (subscription, "pro", 99)
    assert (await stripe.read("get_invoice", {"id": invoice}, timeout=5))["amount_remaining"] == 2000
    assert (await stripe.health()).is_up


async def test_one_key_is_one_refund(stripe, provider):
    charge = provider.charge()
    first = await refund(stripe, charge, amount=700)
    assert await refund(stripe, charge, amount=700) == first
    assert provider.given_back(charge) == 700
    await refund(stripe, charge, key="k2", amount=700)
    assert provider.given_back(charge) == 1400


async def test_two_at_once_with_one_key_are_one_refund(stripe, provider):
    charge = provider.charge()
    provider.failures.extend(["slow", "slow"])
    tried = await asyncio.gather(refund(stripe, charge), refund(stripe, charge), return_exceptions=True)
    assert provider.given_back(charge) == 2000
    (doubt,) = [each for each in tried if isinstance(each, ConnectorError)]
    assert (doubt.permanent, doubt.effect) == (False, "unknown")


async def test_more_than_was_charged_never_goes_back(stripe, provider):
    charge = provider.charge()
    for amount in (2001, 100_000):
        with pytest.raises(ConnectorError) as refused:
            await refund(stripe, charge, amount=amount)
        assert (refused.value.permanent, refused.value.effect) == (True, "none")
        assert "amount_too_large" in refused.value.message
    await refund(stripe, charge, key="k2")
    with pytest.raises(ConnectorError):
        await refund(stripe, charge, key="k3")
    assert provider.given_back(charge) == 2000


@pytest.mark.parametrize("failure", FAILURES)
async def test_whatever_breaks_the_probe_tells_and_a_repetition_gives_back_once(stripe, provider, failure):
    charge = provider.charge()
    provider.failures.append(failure)
    (said,) = await asyncio.gather(refund(stripe, charge), return_exceptions=True)
    assert (failure == "slow") == isinstance(said, dict)
    assert failure == "slow" or said.effect == "unknown", "whether money moved cannot be known from a broken answer"
    probed = await stripe.probe("refund", {"charge": charge}, key="k1", timeout=5)
    assert probed.status == ("not_done" if failure.endswith("before") else "done")
    await refund(stripe, charge)
    assert provider.given_back(charge) == 2000


async def test_a_probe_finds_the_refund_after_the_key_is_forgotten(stripe, provider):
    charge = provider.charge()
    provider.failures.append("drop_after")
    with pytest.raises(ConnectorError):
        await refund(stripe, charge, amount=700)
    provider.forgets_keys = True
    assert (await stripe.probe("refund", {"charge": charge}, key="k1", timeout=5)).value["amount"] == 700
    assert (await stripe.probe("refund", {"charge": charge}, key="other", timeout=5)).status == "not_done"


async def test_what_was_changed_can_be_changed_back(stripe, provider):
    subscription = provider.subscribe()
    acts = await stripe.actions()
    assert (await stripe.act("cancel_at_period_end", {"id": subscription}, key="k1", timeout=5))["cancel_at_period_end"]
    assert (await stripe.probe("cancel_at_period_end", {"id": subscription}, key="k1", timeout=5)).status == "done"
    undo = acts["cancel_at_period_end"].undo
    assert not (await stripe.act(undo, {"id": subscription}, key="k2", timeout=5))["cancel_at_period_end"]
    assert (acts["refund"].risk, acts["pay_invoice"].risk) == ("costly", "irreversible")


async def test_an_invoice_is_paid_or_voided_once(stripe, provider):
    invoice = provider.invoice()
    assert (await stripe.act("pay_invoice", {"id": invoice}, key="k1", timeout=5))["status"] == "paid"
    assert (await stripe.probe("pay_invoice", {"id": invoice}, key="k1", timeout=5)).status == "done"
    with pytest.raises(ConnectorError) as refused:
        await stripe.act("void_invoice", {"id": invoice}, key="k2", timeout=5)
    assert refused.value.effect == "none"


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("refund", {"charge": "ch_1; drop"}),
        ("refund", {"charge": "../customers"}),
        ("refund", {"charge": "ch_1", "amount": 0}),
        ("refund", {"charge": "ch_1", "amount": 1.5}),
        ("refund", {"charge": "ch_1", "destination": "acct_1"}),
        ("get_charge", {"id": "ch_1"}),
        ("transfer", {}),
    ],
)
async def test_wrong_arguments_never_leave(stripe, provider, action, arguments):
    with pytest.raises(ConnectorError) as refused:
        await stripe.act(action, arguments, key="k1", timeout=5)
    assert (refused.value.permanent, refused.value.effect) == (True, "none")
    assert provider.heard == []


async def test_what_is_not_there_is_missing(stripe):
    with pytest.raises(ConnectorError) as missing:
        await stripe.read("get_charge", {"id": "ch_nowhere"}, timeout=5)
    assert missing.value.is_missing


async def test_a_refused_key_is_said_without_showing_it(provider):
    async with served(application(provider)) as url:
        made = open_stripe(opening(url, key="rk_live_wrong_but_secret"))
        health = await made.health()
        with pytest.raises(ConnectorError) as refused:
            await made.read("find_customers", {"email": "ana@example.org"}, timeout=5)
        await made.close()
    assert not health.is_up
    for said in (health.detail, refused.value.message, repr(made)):
        assert "rk_live" not in said
        assert KEY not in said
        assert "ana@" not in said


async def test_a_wrong_configuration_is_named():
    wrong = {
        "no key": opening("https://api.stripe.com"),
        "no such field": opening("https://api.stripe.com", plan="pro"),
    }
    wrong["no key"] = Opening(UUID(int=1), "payments", {}, {})
    wrong["no TLS"] = Opening(UUID(int=1), "payments", {"url": "http://example.org"}, {"key": KEY})
    for what, bad in wrong.items():
        with pytest.raises(Invalid) as refused:
            await STRIPE.prepare(bad, {})
        assert refused.value.code == "bad_connector", what
