"""The Stripe connector against localstripe, a playing Stripe of other people (scripts/localstripe-server): the wire is Stripe's.

It ignores idempotency keys and lets more go back than was charged, so that refund safety is shown at our stricter stand-in.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from bench.asoe_under_load import free_port

from asoe.connectors.contract import ConnectorError
from asoe.connectors.kinds import Opening
from asoe.connectors.stripe import open_stripe

SCRIPT = Path(__file__).parents[2] / "scripts" / "localstripe-server"
KEY = "sk_test_of_the_tests"
CARD = {"card[number]": "4242424242424242", "card[exp_month]": "12", "card[exp_year]": "2034", "card[cvc]": "123"}


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    log = tmp_path_factory.mktemp("localstripe") / "out.log"
    url = f"http://127.0.0.1:{(port := free_port())}"
    with log.open("w") as out:
        process = subprocess.Popen(
            ["bash", str(SCRIPT), "run", str(port)], stdout=out, stderr=out, start_new_session=True
        )
    try:
        with httpx.Client(base_url=url, auth=(KEY, ""), trust_env=False, timeout=30) as client:
            _wait(process, client, log)
            yield client
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process, client, log):
    for _ in range(240):
        assert process.poll() is None, f"localstripe ended: {log.read_text()[-2000:]} (make system installs it)"
        try:
            return client.get("/v1/customers")
        except httpx.TransportError:
            time.sleep(0.25)
    raise AssertionError("localstripe did not answer within a minute.")


@pytest.fixture
def charge(provider):
    """A customer of that provider who paid 20.00 EUR."""

    def made(path, **form):
        answer = provider.post(path, data=form)
        assert answer.is_success, answer.text
        return answer.json()

    customer = made("/v1/customers", email="ana@example.org", name="Ana")["id"]
    made(f"/v1/customers/{customer}/sources", source=made("/v1/tokens", **CARD)["id"])
    return made("/v1/charges", amount=2000, currency="eur", customer=customer)


@pytest.fixture
async def stripe(provider):
    config = {"url": str(provider.base_url).rstrip("/"), "allow_http": True}
    made = open_stripe(Opening(UUID(int=1), "payments", config, {"key": KEY}, allow_private=True))
    yield made
    await made.close()


async def test_a_charge_is_read_as_it_is_kept_there(stripe, charge):
    read = await stripe.read("get_charge", {"id": charge["id"]}, timeout=20)
    assert (read["amount"], read["left"], read["currency"]) == (2000, 2000, "eur")
    assert read["customer"] == charge["customer"]
    (customer,) = (await stripe.read("find_customers", {"email": "ana@example.org"}, timeout=20))["items"][:1]
    assert customer["name"] == "Ana"
    listed = await stripe.read("list_charges", {"customer": charge["customer"]}, timeout=20)
    assert [one["id"] for one in listed["items"]] == [charge["id"]]
    assert (await stripe.health()).is_up


async def test_a_refund_is_made_there_and_found_again_by_its_key(stripe, charge, provider):
    before = await stripe.probe("refund", {"charge": charge["id"], "amount": 700}, key="k1", timeout=20)
    refund = await stripe.act("refund", {"charge": charge["id"], "amount": 700}, key="k1", timeout=20)
    after = await stripe.probe("refund", {"charge": charge["id"], "amount": 700}, key="k1", timeout=20)
    assert (before.status, after.status) == ("not_done", "done")
    assert after.value["id"] == refund["id"]
    assert (await stripe.read("get_charge", {"id": charge["id"]}, timeout=20))["left"] == 1300
    kept = provider.get("/v1/refunds", params={"charge": charge["id"]}).json()["data"]
    assert [(one["id"], one["amount"]) for one in kept] == [(refund["id"], 700)]


async def test_a_charge_of_nobody_is_said_to_be_missing(stripe):
    with pytest.raises(ConnectorError) as refused:
        await stripe.read("get_charge", {"id": "ch_nobody"}, timeout=20)
    assert (refused.value.permanent, refused.value.effect) == (True, "none")
