"""Credits: every posting adds up, nobody falls below zero, a refund stands on its charge and the failure of its work."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest

from asoe.connectors.contract import ConnectorError
from asoe.connectors.credits import CreditsConnector
from asoe.desk import ledger
from asoe.desk.context import Desk
from asoe.desk.ledger import OrgLedger
from asoe.domain.errors import Conflict, Denied, Invalid, Missing
from asoe.queue import Queue
from asoe.store.credits import NewPosting


@pytest.fixture
def desk(database):
    return Desk(database, Queue(), ai=None, clock=lambda: datetime.now(UTC))


async def post(desk, org, kind, amount, *, key=None, client="c1", **more):
    new = NewPosting(kind, key or str(uuid4()), client, Decimal(amount), **more)
    return (await ledger.post(desk, org.admin, new))[0]


async def in_order(desk, org):
    found = await ledger.audit(desk, org.admin)
    assert (found.unbalanced, found.drifted, found.total) == (0, 0, 0)
    return found


async def charged(desk, org, amount="10", work="job-1", *, outcome="failed"):
    await post(desk, org, "grant", "100")
    charge = await post(desk, org, "charge", amount, work=work)
    if outcome:
        await ledger.report_work(desk, org.agent, work, outcome, {"exit": 1})
    return charge


async def test_a_client_cannot_spend_what_is_not_there(desk, acme):
    await post(desk, acme, "grant", "5")
    with pytest.raises(Conflict) as refused:
        await post(desk, acme, "charge", "5.000001", work="job-1")
    assert refused.value.code == "not_enough_credits"
    assert (await ledger.read_balance(desk, acme.admin, "c1")).available == 5
    await in_order(desk, acme)


async def test_the_same_key_is_one_posting_and_another_content_is_refused(desk, acme):
    first = await post(desk, acme, "grant", "5", key="k")
    again = await asyncio.gather(*(post(desk, acme, "grant", "5", key="k") for _ in range(5)))
    assert {each.id for each in again} == {first.id}
    with pytest.raises(Conflict) as refused:
        await post(desk, acme, "grant", "6", key="k")
    assert refused.value.code == "key_reused"
    assert (await ledger.read_balance(desk, acme.admin, "c1")).available == 5


@pytest.mark.parametrize(("outcome", "code"), [(None, "no_proof"), ("succeeded", "no_proof")])
async def test_without_proof_of_failure_there_is_no_refund(desk, acme, outcome, code):
    charge = await charged(desk, acme, outcome=outcome)
    with pytest.raises(Conflict) as refused:
        await post(desk, acme, "refund", "10", of_posting=charge.id)
    assert refused.value.code == code


async def test_refunds_never_pass_their_charge_however_many_race(desk, acme):
    charge = await charged(desk, acme)
    tried = await asyncio.gather(
        *(post(desk, acme, "refund", "4", of_posting=charge.id) for _ in range(6)), return_exceptions=True
    )
    assert sum(not isinstance(each, Exception) for each in tried) == 2
    assert {each.code for each in tried if isinstance(each, Exception)} == {"over_refund"}
    assert (await ledger.read_balance(desk, acme.admin, "c1")).available == 98
    await in_order(desk, acme)


async def test_a_refund_follows_a_charge_of_the_same_client(desk, acme):
    charge = await charged(desk, acme)
    grant = await post(desk, acme, "grant", "1")
    for wrong in ({"of_posting": charge.id, "client": "c2"}, {"of_posting": grant.id}):
        with pytest.raises(Conflict) as refused:
            await post(desk, acme, "refund", "1", **wrong)
        assert refused.value.code == "wrong_posting"
    with pytest.raises(Missing):
        await post(desk, acme, "refund", "1", of_posting=uuid4())


async def test_what_is_wrong_is_named(desk, acme):
    for wrong in (NewPosting("steal", "k", "c1", Decimal(1)), NewPosting("grant", " ", "c1", Decimal(1)), NewPosting("grant", "k", "", Decimal(1)),
                  NewPosting("grant", "k", "c1", Decimal(-1)), NewPosting("grant", "k", "c1", Decimal("NaN")), NewPosting("charge", "k", "c1", Decimal(1)),
                  NewPosting("refund", "k", "c1", Decimal(1)), NewPosting("grant", "k", "c1", Decimal("0.0000001"))):  # fmt: skip
        with pytest.raises(Invalid):
            await ledger.post(desk, acme.admin, wrong)
    with pytest.raises(Denied):
        await ledger.post(desk, acme.agent, NewPosting("grant", "k", "c1", Decimal(1)))
    with pytest.raises(Denied):
        await ledger.post(desk, acme.client, NewPosting("charge", "k", "c1", Decimal(1), work="w"))


async def test_the_first_word_on_work_stays(desk, acme):
    assert await ledger.report_work(desk, acme.agent, "job-1", "succeeded")
    assert not await ledger.report_work(desk, acme.agent, "job-1", "succeeded")
    with pytest.raises(Conflict):
        await ledger.report_work(desk, acme.agent, "job-1", "failed")


async def test_after_any_postings_it_adds_up(desk, acme):
    chance = random.Random(7)
    holds: list[UUID] = []
    charges: list[UUID] = []

    async def one(number: int) -> None:
        kind = chance.choice(["grant", "hold", "capture", "release", "charge", "refund"])
        of = {"capture": holds, "release": holds, "refund": charges}.get(kind)
        more = {"of_posting": chance.choice(of)} if of else {}
        if of is not None and not of:
            return
        if kind in {"charge", "hold"}:
            more["work"] = f"job-{number}"
            if chance.random() < 0.5:
                await ledger.report_work(desk, acme.agent, f"job-{number}", "failed")
        try:
            posting = await post(desk, acme, kind, chance.choice(["1", "2.5", "40"]), client=f"c{number % 3}", **more)
        except Conflict:
            return
        (holds if kind == "hold" else charges if kind in {"charge", "capture"} else []).append(posting.id)

    for start in range(0, 160, 8):
        await asyncio.gather(*(one(number) for number in range(start, start + 8)))
    assert (await in_order(desk, acme)).postings > 40


async def test_the_ledger_is_only_added_to_and_by_its_own(desk, acme, globex):
    charge = await charged(desk, acme)
    for statement in (
        "update asoe.credit_accounts set balance = 1e6",
        "delete from asoe.credit_entries",
        "update asoe.credit_postings set amount = 1",
        "update asoe.credit_works set outcome = 'failed'",
        "insert into asoe.credit_accounts (org_id, kind, client, balance) select org_id, kind, 'c9', 100 from asoe.credit_accounts limit 1",
        "insert into asoe.credit_postings (org_id, kind, key, client, amount, posted_at) values (null, 'grant', 'k', 'c1', 5, now())",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with desk.database.org_transaction(acme.owner) as connection:
                await connection.execute(statement)
    with pytest.raises(asyncpg.CheckViolationError):
        async with desk.database.org_transaction(acme.owner) as connection:
            await connection.execute(
                "insert into asoe.credit_postings (org_id, kind, key, client, amount) values ($1, 'grant', 'k', 'c1', 5)",
                acme.org_id,
            )
    await post(desk, acme, "grant", "1", client="c2")
    for added in (
        "a.client = 'c2'",
        "a.client = 'c2' or a.kind = 'issued'",
    ):  # one that unbalances it, and two that do not
        with pytest.raises(asyncpg.CheckViolationError):
            async with desk.database.org_transaction(acme.owner) as connection:
                await connection.execute(
                    "insert into asoe.credit_entries (org_id, posting_id, account_id, amount) "
                    "select a.org_id, $1, a.id, case a.kind when 'client' then 7 else -7 end "
                    f"from asoe.credit_accounts a where {added}",
                    charge.id,
                )
    await in_order(desk, acme)
    with pytest.raises(Missing):
        await post(desk, globex, "refund", "1", of_posting=charge.id)
    assert (await ledger.audit(desk, globex.admin)).postings == 0


async def test_the_connector_refunds_once_and_can_be_probed(desk, acme):
    charge = await charged(desk, acme)
    connector = CreditsConnector(OrgLedger(desk.database, acme.org_id, desk.engine_of), acme.org_id)
    wanted = {"charge_id": str(charge.id), "amount": "10"}
    assert (await connector.probe("refund", wanted, key="k1", timeout=5)).status == "not_done"
    first = await connector.act("refund", wanted, key="k1", timeout=5)
    assert await connector.act("refund", wanted, key="k1", timeout=5) == first
    assert (await connector.probe("refund", wanted, key="k1", timeout=5)).value == first
    with pytest.raises(ConnectorError) as refused:
        await connector.act("refund", wanted, key="k2", timeout=5)
    assert refused.value.permanent
    assert refused.value.effect == "none"
    seen = await connector.read("charge", {"charge_id": str(charge.id)}, timeout=5)
    assert (seen["refunded"], seen["left"], seen["outcome"]) == ("10.000000", "0.000000", "failed")
    for wrong in (
        {"charge_id": "x", "amount": 1},
        {"charge_id": str(charge.id), "amount": "-1"},
        {"charge_id": str(charge.id), "amount": True},
    ):
        with pytest.raises(ConnectorError):
            await connector.act("refund", wanted | wrong, key="k3", timeout=5)


async def test_a_refund_in_a_transaction_that_is_rolled_back_did_not_happen(desk, acme):
    charge = await charged(desk, acme)
    connector = CreditsConnector(OrgLedger(desk.database, acme.org_id, desk.engine_of), acme.org_id)
    wanted = {"charge_id": str(charge.id), "amount": "10"}

    async def cut_short() -> None:
        async with desk.database.org_transaction(acme.engine) as connection:
            await connector.act_within(connection, "refund", wanted, key="k1", org_id=acme.org_id)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await cut_short()
    assert (await connector.probe("refund", wanted, key="k1", timeout=5)).status == "not_done"
    await in_order(desk, acme)


async def test_what_follows_a_hold_is_about_its_work_and_no_other(desk, acme):
    """Else the failure of one job would pay another one back."""
    await post(desk, acme, "grant", "100")
    await ledger.report_work(desk, acme.agent, "job-2", "failed")
    held = await post(desk, acme, "hold", "10", work="job-1")
    with pytest.raises(Conflict) as refused:
        await post(desk, acme, "capture", "10", of_posting=held.id, work="job-2")
    assert refused.value.code == "wrong_posting"
    taken = await post(desk, acme, "capture", "10", of_posting=held.id)
    assert taken.work == "job-1"
    with pytest.raises(Conflict) as refused:
        await post(desk, acme, "refund", "10", of_posting=taken.id)
    assert refused.value.code == "no_proof"
    await ledger.report_work(desk, acme.agent, "job-1", "failed")
    assert (await post(desk, acme, "refund", "10", of_posting=taken.id)).work == "job-1"
    await in_order(desk, acme)


@pytest.mark.parametrize("amount", ["12345678901234.123457", "0.000001", "999999999.999999"])
async def test_six_decimals_stay_what_they_are_through_connector_and_ledger(desk, acme, amount):
    await post(desk, acme, "grant", "99999999999999.999999")
    charge = await post(desk, acme, "charge", amount, work="job-1")
    await ledger.report_work(desk, acme.agent, "job-1", "failed")
    connector = CreditsConnector(OrgLedger(desk.database, acme.org_id, desk.engine_of), acme.org_id)
    seen = await connector.read("charge", {"charge_id": str(charge.id)}, timeout=5)
    assert seen["left"] == amount
    for wrong in (float("12345678901234.123457"), "0.0000001"):
        with pytest.raises(ConnectorError, match="more digits than are safe"):
            await connector.act("refund", {"charge_id": str(charge.id), "amount": wrong}, key="k", timeout=5)
    given = await connector.act("refund", {"charge_id": str(charge.id), "amount": seen["left"]}, key="k", timeout=5)
    assert given["amount"] == amount
    assert (await ledger.read_balance(desk, acme.admin, "c1")).available == Decimal("99999999999999.999999")
    await in_order(desk, acme)
