"""The shipped runbooks that move money, end to end: over the Stripe-like server that breaks, and over the credit ledger."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from runs_cast import World, connect
from tests.connectors.connector_cast import served

from asoe.connectors.credits import CreditsConnector
from asoe.connectors.kinds import Opening
from asoe.connectors.prefect import ACTIONS as PREFECT_ACTIONS
from asoe.connectors.stripe import open_stripe
from asoe.desk import ledger
from asoe.desk.ledger import OrgLedger
from asoe.desk.runbook import lint, recorded
from asoe.desk.runbook.language import read_runbook
from asoe.store.credits import NewPosting
from stripe_stand_in import FAILURES, KEY, Provider, application

SHIPPED = Path(lint.__file__).parent / "shipped"
NAMES = sorted(path.name.removesuffix(".yaml") for path in SHIPPED.glob("*.yaml") if ".cases." not in path.name)


def source(name: str) -> str:
    return (SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_shipped_is_free_of_doubts_and_passes_its_cases(name):
    ledger_actions = await CreditsConnector(None, UUID(int=1)).actions()
    payments = open_stripe(Opening(UUID(int=1), "stripe", {}, {"key": KEY}))
    known = {"stripe": await payments.actions(), "credits": ledger_actions, "prefect": PREFECT_ACTIONS}
    await payments.close()
    assert not [finding for finding in lint.check(source(name), actions=known) if finding.is_error]
    cases = recorded.read_cases((SHIPPED / f"{name}.cases.yaml").read_text(encoding="utf-8"))
    assert cases
    for case in cases:
        assert not recorded.play(read_runbook(source(name)), case).differences, case.name


@pytest.fixture
def provider():
    made = Provider()
    made.customers["cus_1"] = {"id": "cus_1", "object": "customer", "email": "client@acme.example", "name": "Ana"}
    return made


async def charged_twice(world: World, provider: Provider) -> tuple[UUID, str]:
    """A ticket of a client with two equal payments, and the second of these."""
    first, second = provider.charge(), provider.charge()
    provider.charges[first]["created"], provider.charges[second]["created"] = 1000, 4000
    ticket = await world.ticket(subject="Charged twice")
    email = await world.owner.fetchval("select email from asoe.members where user_id = $1", world.org.client.user_id)
    provider.customers["cus_1"]["email"] = email
    return ticket, second


@pytest.mark.parametrize("failure", ["", *FAILURES])
async def test_a_double_charge_goes_back_once_whatever_breaks(world, provider, failure):
    async with served(application(provider)) as url:
        opening = Opening(
            world.org.org_id, "stripe", {"url": url, "allow_http": True}, {"key": KEY}, allow_private=True
        )
        payments = open_stripe(opening)
        connect(world, stripe=payments)
        await world.shelve(source("stripe-double-charge"))
        ticket, second = await charged_twice(world, provider)
        provider.failures.extend([failure] if failure else [])
        done = await world.carry_through(await world.start("stripe-double-charge", on=ticket))
        assert (done.status, done.reason) == ("verified", "goal_met")
        assert provider.given_back(second) == 2000
        assert len(provider.refunds) == 1
        again = await world.ticket(subject="Charged twice!")
        repeated = await world.carry_through(await world.start("stripe-double-charge", on=again))
        assert (repeated.status, repeated.reason) == ("unverified", "already_met")
        assert len(provider.refunds) == 1
        await payments.close()


async def test_above_a_hundred_a_person_is_asked_first(world, provider):
    async with served(application(provider)) as url:
        opening = Opening(
            world.org.org_id, "stripe", {"url": url, "allow_http": True}, {"key": KEY}, allow_private=True
        )
        payments = open_stripe(opening)
        connect(world, stripe=payments)
        await world.shelve(source("stripe-double-charge"))
        ticket, _ = await charged_twice(world, provider)
        for charge in provider.charges.values():
            charge["amount"] = 10_001
        run_id = await world.start("stripe-double-charge", on=ticket)
        assert await world.advance(run_id) == "waiting"
        assert (await world.run(run_id)).waiting_for == "approval"
        assert provider.refunds == {}
        await payments.close()


async def test_credits_for_failed_work_come_back_once_and_the_ledger_adds_up(world):
    org = world.org
    client = await world.owner.fetchval("select gen_random_uuid()::text")
    connect(
        world, credits=CreditsConnector(OrgLedger(world.desk.database, org.org_id, world.desk.engine_of), org.org_id)
    )
    await world.shelve(source("credits-failed-work"))
    contact = await world.owner.fetchval(
        "insert into asoe.contacts (org_id, external_id, name) values ($1, $2, 'Kim') returning id", org.org_id, client
    )

    async def post(kind: str, amount: str, key: str, **more) -> UUID:
        new = NewPosting(kind, key, client, Decimal(amount), **more)
        return (await ledger.post(world.desk, org.admin, new))[0].id

    await post("grant", "100", "g")
    await post("charge", "30.123457", "c1", work="job-1")
    await post("charge", "20", "c2", work="job-2")
    await ledger.report_work(world.desk, org.agent, "job-1", "failed", {"exit": 137})
    await ledger.report_work(world.desk, org.agent, "job-2", "succeeded")
    runs = []
    for subject in ("The job failed", "The job failed, again"):
        ticket = await world.ticket(subject=subject)
        await world.owner.execute(
            "update public.support_tickets set contact_id = $2, user_id = null where id = $1", ticket, contact
        )
        runs.append(await world.carry_through(await world.start("credits-failed-work", on=ticket)))
    assert [(run.status, run.reason) for run in runs] == [("verified", "goal_met"), ("unverified", "already_met")]
    assert (await ledger.read_balance(world.desk, org.admin, client)).available == 80
    (refund,) = [action for action in await world.actions(runs[0].id) if action.action == "refund"]
    assert (refund.amount, refund.arguments["amount"]) == (Decimal("30.123457"), "30.123457")
    found = await ledger.audit(world.desk, org.admin)
    assert (found.unbalanced, found.drifted, found.total) == (0, 0, 0)
