"""Whatever runs, retries, failures, deaths and tickets come, in whatever order and at once: no cap of count or sum is passed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs_cast import Killed, act, book, connect, fix

CLIENTS = ("ana", "kim", None)


@dataclass(frozen=True)
class Try:
    """One run: for whom, how much, and what goes wrong."""

    client: str | None
    amount: int
    fault: str | None
    is_at_once: bool


@dataclass(frozen=True)
class Caps:
    per: str
    count: int | None
    total: int | None
    is_of_runbook: bool

    def in_yaml(self) -> str:
        parts = [f"per: {self.per}", "window: 24h"]
        parts += [f"count: {self.count}"] if self.count is not None else []
        parts += [f"total: {self.total}"] if self.total is not None else []
        return f"[{{{', '.join(parts)}}}]"


TRIES = st.lists(
    st.builds(
        Try,
        st.sampled_from(CLIENTS),
        st.integers(0, 60),
        st.sampled_from([None, None, "lost", "after", "before permanent", "after killed", "before killed"]),
        st.booleans(),
    ),
    min_size=2,
    max_size=7,
)
CAPS = st.builds(
    Caps,
    st.sampled_from(["client", "organization"]),
    st.sampled_from([None, 1, 2, 3]),
    st.sampled_from([20, 50, 100]),
    st.booleans(),
)
_number = iter(range(10_000))


async def _shelved(world, caps: Caps) -> str:
    name = f"capped-{next(_number)}"
    limits = caps.in_yaml()
    steps = fix(
        "only",
        act(
            "post", f", amount: =ticket.metadata.amount, unit: USD{'' if caps.is_of_runbook else f', limits: {limits}'}"
        ),
        that="=account.post > 0",
    )
    head = f"limits: {limits}" if caps.is_of_runbook else ""
    await world.shelve(book(name, steps, goal="=account.post > 100000", head=head))
    return name


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tries=TRIES, caps=CAPS)
async def test_no_sequence_of_runs_passes_a_cap(world, tries, caps):
    await world.owner.execute("delete from asoe.runbook_runs")
    world.estate.db.execute("delete from effects")
    world.estate.faults.clear()
    connect(world, estate=world.estate)
    name = await _shelved(world, caps)
    begun = []
    for each in tries:
        metadata = json.dumps({"amount": each.amount})
        ticket = await world.ticket(metadata=metadata)
        run_id = await world.start(name, on=ticket)
        await world.owner.execute("update asoe.runbook_runs set client_key = $2 where id = $1", run_id, each.client)
        begun.append((run_id, each))
    at_once = [run_id for run_id, each in begun if each.is_at_once]
    await asyncio.gather(*(world.advance(run_id) for run_id in at_once))
    for run_id, each in begun:
        world.estate.faults[:] = [("post", each.fault)] if each.fault else []
        with contextlib.suppress(Killed):
            await world.advance(run_id)
    world.estate.faults.clear()
    await world.let_time_pass()
    for run_id, _ in begun:
        await world.carry_through(run_id)

    done = await world.owner.fetch(
        "select coalesce(client_key, '') as client, idempotency_key as key, amount from asoe.run_actions where status = 'done'"
    )
    assert {row["key"] for row in done} == set(world.estate.effects("post")), "the rows are what the system shows"
    assert set(world.estate.effects("post").values()) <= {1}
    groups: dict[str, list[Decimal]] = {}
    for row in done:
        groups.setdefault(row["client"] if caps.per == "client" else "", []).append(row["amount"])
    for amounts in groups.values():
        assert caps.count is None or len(amounts) <= caps.count
        assert sum(amounts) <= caps.total
    for run_id, _ in begun:
        run = await world.run(run_id)
        assert run.ended_at is not None
        assert run.reason in {"over_cap", "goal_not_met", "act_failed"}


async def test_a_cap_is_used_to_its_last_unit_and_no_further(world):
    """What is declined is what would pass the cap, and nothing else."""
    name = await _shelved(world, Caps("client", 3, 100, is_of_runbook=False))
    reasons = []
    for amount in (60, 41, 40, 0, 1):
        ticket = await world.ticket(metadata=json.dumps({"amount": amount}))
        run = await world.carry_through(await world.start(name, on=ticket))
        reasons.append(run.reason)
    assert reasons == ["goal_not_met", "over_cap", "goal_not_met", "goal_not_met", "over_cap"]
    assert sum(world.estate.effects("post").values()) == 3


async def test_what_was_taken_back_or_surely_failed_leaves_room(world):
    caps = ", limits: [{per: organization, window: 24h, count: 1}], undo: {call: estate.unpost, with: {id: a}}"
    steps = fix("only", act("post", caps), act("refund"), that="=account.refund > 0")
    await world.shelve(book("once", steps, goal="=account.refund > 0"))
    world.estate.faults.append(("post", "before permanent"))
    assert (await world.carry_through(await world.start("once"))).reason == "act_failed"
    world.estate.faults.append(("refund", "before permanent"))
    assert (await world.carry_through(await world.start("once"))).reason == "act_failed"
    assert (await world.carry_through(await world.start("once"))).status == "verified"
    world.estate.db.execute("delete from effects")
    assert (await world.carry_through(await world.start("once"))).reason == "over_cap"


@pytest.mark.parametrize("amount", ["=-5", "=-0.01"])
async def test_an_amount_below_nothing_makes_no_room(world, amount):
    capped = f", amount: {amount}, limits: [{{per: organization, window: 24h, total: 100}}]"
    await world.shelve(
        book("once", fix("only", act("post", capped), that="=account.post > 0"), goal="=account.post > 0")
    )
    run = await world.carry_through(await world.start("once"))
    assert run.reason in {"over_cap", "check_failed"}
    assert not world.estate.calls


def paying(sum_: str, declared: str, head: str = "") -> str:
    """A runbook that pays what only a run can tell, and says how much."""
    moved = json.dumps(f'=account.id == "a" ? {sum_} : 0')
    paid = f"{{call: estate.pay, with: {{id: a, sum: {moved}}}, once_per: =ticket.number{declared}}}"
    return book("pays", fix("pay", paid, that="=account.pay > 0"), goal="=account.pay > 0", head=head)


@pytest.mark.parametrize(
    ("moved", "declared", "status"),
    [
        ("50", "50", "verified"),
        ("50", "60", "verified"),
        ("50", "49.99", "escalated"),
        ('dyn("50.000001")', "50", "escalated"),
        ('dyn("much")', "50", "escalated"),
        ("dyn(null)", "50", "escalated"),
        ("dyn(true)", "50", "escalated"),
        ("-50", "50", "escalated"),
    ],
)
async def test_a_runbook_that_names_less_than_it_moves_is_refused(world, moved, declared, status):
    await world.shelve(paying(moved, f", amount: {declared}"))
    rehearsal = await world.carry_through(await world.start("pays", on=await world.ticket(), mode="dry_run"))
    run = await world.carry_through(await world.start("pays", on=await world.ticket()))
    assert (run.status, len(world.estate.done())) == (status, int(status == "verified"))
    if status == "escalated":
        assert (run.reason, rehearsal.reason) == ("wrong_amount", "wrong_amount")
        assert [action.status for action in await world.actions(run.id)] == ["declined"]


async def test_what_an_act_moves_is_counted_though_its_runbook_names_nothing(world):
    await world.shelve(paying("50", "", head="limits: [{per: organization, window: 24h, total: 99}]"))
    first = await world.carry_through(await world.start("pays", on=await world.ticket()))
    world.estate.db.execute("delete from effects")
    second = await world.carry_through(await world.start("pays", on=await world.ticket()))
    assert (first.status, second.reason) == ("verified", "over_cap")
    assert world.estate.done() == []
