"""Service levels: due when promised, warned ahead of time, missed once, paused while the client is waited for, whatever crashes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from asoe.desk import housekeeping, service_level, session
from asoe.desk import people as desk_people
from asoe.desk import ticket as desk_ticket
from asoe.domain.errors import Denied, Invalid
from asoe.domain.service_level import Moment, read_service_levels, run_clocks

HOUR = timedelta(hours=1)
T0 = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # a Monday
OFFICE = {"zone": "UTC", "week": {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}}
PROMISE = {
    "business_hours": {"office": OFFICE},
    "service_levels": {
        "hours": "office",
        "targets": [
            {"severity": "medium", "first_response": "2h", "next_response": "4h", "resolution": "10h"},
            {"severity": "medium", "plan": "gold", "first_response": "1h", "hours": "always"},
            {"severity": "critical", "first_response": "15m", "resolution": "2h", "hours": "always"},
        ],
    },
}


def clocks(*moments, now, severity="medium", team=None, plan=None, promise=PROMISE):
    found = run_clocks(
        read_service_levels(promise), opened_at=T0, severity=severity, team=team, plan=plan, moments=moments, now=now
    )
    return {(clock.kind, (clock.started_at - T0) / HOUR): clock for clock in found}


def at(hours: float, what: str, **more) -> Moment:
    return Moment(T0 + hours * HOUR, what, **more)


# --- the arithmetic of one ticket ---


def test_a_clock_is_due_in_business_hours_and_warns_at_its_share() -> None:
    found = clocks(now=T0)
    assert found["first_response", 0].due_at == T0 + 2 * HOUR
    assert found["first_response", 0].warn_at == T0 + 1.5 * HOUR
    assert found["resolution", 0].due_at == T0 + 26 * HOUR  # eight hours today, two tomorrow


def test_an_answer_in_time_keeps_the_promise_and_a_late_one_misses_it() -> None:
    kept = clocks(at(2, "reply"), now=T0 + 3 * HOUR)["first_response", 0]
    missed = clocks(at(2.5, "reply"), now=T0 + 3 * HOUR)["first_response", 0]
    assert (kept.status, kept.breached_at) == ("met", None)
    assert (missed.status, missed.breached_at) == ("met", T0 + 2 * HOUR)


def test_waiting_for_the_client_stops_the_clock_of_the_resolution() -> None:
    paused = clocks(at(1, "reply"), now=T0 + 100 * HOUR)["resolution", 0]
    assert (paused.status, paused.used, paused.due_at, paused.breached_at) == ("paused", HOUR, None, None)
    again = clocks(at(1, "reply"), at(48, "client"), now=T0 + 48 * HOUR)["resolution", 0]
    assert again.due_at == T0 + 48 * HOUR + 25 * HOUR  # nine hours are left: eight on Wednesday, one on Thursday


def test_each_word_of_the_client_is_owed_an_answer_counted_from_the_first_unanswered_one() -> None:
    said = (at(1, "reply"), at(2, "client"), at(3, "client"), at(5, "reply"), at(6, "client"))
    found = clocks(*said, now=T0 + 6 * HOUR)
    assert found["next_response", 2].met_at == T0 + 5 * HOUR
    assert found["next_response", 6].due_at == T0 + 26 * HOUR
    assert ("next_response", 3) not in found


def test_saying_that_a_person_will_look_is_no_answer() -> None:
    assert clocks(at(0.1, "ours", team="billing"), now=T0 + HOUR)["first_response", 0].status == "running"


def test_a_change_of_severity_counts_what_was_used() -> None:
    found = clocks(at(0.1, "changed", severity="critical"), now=T0 + 0.1 * HOUR)
    assert found["first_response", 0].due_at == T0 + timedelta(minutes=15)
    late = clocks(at(1, "changed", severity="critical"), now=T0 + HOUR)
    late = clocks(at(1, "changed", severity="critical"), now=T0 + 1.01 * HOUR)
    assert late["first_response", 0].breached_at == T0 + HOUR  # owed less than it has used: missed from then on
    assert clocks(at(1, "changed", severity="low"), now=T0 + HOUR) == {}


def test_a_plan_has_its_own_promise_and_hours() -> None:
    evening = T0 + 10 * HOUR
    found = clocks(now=evening, plan="gold")
    assert found["first_response", 0].breached_at == T0 + HOUR
    assert "resolution" not in {kind for kind, _ in found}
    assert clocks(now=T0, plan="silver")["first_response", 0].due_at == T0 + 2 * HOUR


def test_an_ended_ticket_owes_nothing_and_a_reopened_one_goes_on() -> None:
    ended = clocks(at(1, "reply"), at(3, "client"), at(4, "ended"), now=T0 + 300 * HOUR)
    assert {clock.status for clock in ended.values()} == {"met"}
    said = (at(1, "reply"), at(3, "client"), at(4, "ended"), at(48, "client"), at(48.1, "reopened"))
    again = clocks(*said, now=T0 + 48.1 * HOUR)
    assert again["resolution", 0].status == "running"
    assert again["resolution", 0].used == 2 * HOUR
    assert again["next_response", 48].due_at == T0 + 52 * HOUR
    thanks = clocks(at(1, "reply"), at(4, "ended"), at(5, "client"), now=T0 + 300 * HOUR)
    assert ("next_response", 5) not in thanks


def test_counting_in_steps_gives_what_counting_at_once_gives() -> None:
    said = [at(0.5, "ours", team="billing"), at(1.9, "reply"), at(20, "client"), at(30, "reply"), at(55, "client")]
    whole = clocks(*said, now=T0 + 90 * HOUR)
    stepped = clocks(*said, *[at(step / 7, "changed") for step in range(600)], now=T0 + 90 * HOUR)
    assert stepped == whole


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"service_levels": {"targets": [{"severity": "urgent"}]}}, "service_levels.targets.0.severity"),
        (
            {"service_levels": {"targets": [{"severity": "low", "resolution": "2 days"}]}},
            "service_levels.targets.0.resolution",
        ),
        ({"service_levels": {"targets": [{"severity": "low"}, {"severity": "low"}]}}, "service_levels.targets.1"),
        ({"service_levels": {"hours": "night"}}, "service_levels.hours"),
        ({"service_levels": {"team_hours": {"billing": "night"}}}, "service_levels.team_hours.billing"),
        ({"service_levels": {"warn_at": 75}}, "service_levels.warn_at"),
        ({"service_levels": {"sla": 1}}, "service_levels.sla"),
        ({"business_hours": {"always": OFFICE}}, "business_hours.always"),
        ({"business_hours": {"office": {**OFFICE, "zone": "../x"}}}, "business_hours.office.zone"),
    ],
)
def test_a_wrong_promise_is_refused_by_field(change, field) -> None:
    with pytest.raises(Invalid) as caught:
        read_service_levels(change)
    assert field in {problem.field for problem in caught.value.fields}


# --- a ticket in the house ---


async def promise(world, **changes) -> None:
    await service_level.change_levels(
        world.desk,
        world.acme.owner,
        business_hours=PROMISE["business_hours"],
        levels={**PROMISE["service_levels"], "hours": "always", **changes},
    )


async def told(world, made) -> list[tuple[str, str]]:
    rows = await world.rows(
        "select kind, data from asoe.facts where ticket_id = $1 and kind like 'service_level.%' order by id", made.id
    )
    return [(row["kind"].partition(".")[2], json.loads(row["data"])["target"]) for row in rows]


async def wait(world, **by: float) -> None:
    world.clock.move(**by)
    await housekeeping.keep_service_levels(world.desk)


@pytest.fixture
async def present(world):
    """The desk's clock at the present, as facts are: it only moves ahead of it."""
    world.clock.now = datetime.now(UTC)
    await promise(world)
    return world


async def test_a_warning_and_then_a_breach_are_told_once_each(present) -> None:
    world = present
    made = await world.open("#need:action help")
    await housekeeping.keep_service_levels(world.desk)
    found = await service_level.read_clocks(world.desk, world.acme.agent, made.id)
    assert [clock.kind for clock in found] == ["first_response", "resolution"]
    await wait(world, hours=1)
    assert await told(world, made) == []
    await wait(world, minutes=31)
    assert await told(world, made) == [("warned", "first_response")]
    await wait(world, minutes=1)
    await wait(world, minutes=29, seconds=1)
    await wait(world, minutes=1)
    assert await told(world, made) == [("warned", "first_response"), ("breached", "first_response")]
    pressing = await service_level.pressing(world.desk, world.acme.agent)
    assert (pressing.warned, pressing.breached) == (0, 1)
    assert [(each.number, each.clock.kind) for each in pressing.clocks] == [(made.number, "first_response")]


async def test_a_breach_is_told_even_when_the_worker_slept_through_it(present) -> None:
    world = present
    made = await world.open("#need:action help")
    await wait(world, hours=30)
    assert sorted(await told(world, made)) == [("breached", "first_response"), ("breached", "resolution")]


async def test_a_person_who_answers_keeps_the_promise_and_stops_the_clock(present) -> None:
    world = present
    made = await world.open("#need:action help")
    await world.advance(made)
    await session.add_message(world.desk, world.acme.agent, made.session_id, "agent", "I am on it.")
    await wait(world, hours=30)
    found = {clock.kind: clock for clock in await service_level.read_clocks(world.desk, world.acme.agent, made.id)}
    assert (found["first_response"].status, found["resolution"].status) == ("met", "paused")
    assert await told(world, made) == []
    await world.say(made, "It still fails.")
    await wait(world, seconds=1)
    found = {clock.kind: clock for clock in await service_level.read_clocks(world.desk, world.acme.agent, made.id)}
    assert (found["next_response"].status, found["resolution"].status) != ("met", "paused")


async def test_the_engines_answer_counts_and_a_hand_over_does_not(present) -> None:
    world = present
    answered = await world.answered("How do I export?")
    given = await world.open("Different words #intent:wants_a_person #need:action")
    await world.advance(given)
    await wait(world, seconds=1)
    first = await service_level.read_clocks(world.desk, world.acme.agent, answered.id)
    second = await service_level.read_clocks(world.desk, world.acme.agent, given.id)
    assert {clock.kind: clock.status for clock in first} == {"first_response": "met", "resolution": "paused"}
    assert {clock.kind: clock.status for clock in second} == {"first_response": "running", "resolution": "running"}


async def test_counting_twice_or_again_after_a_crash_changes_nothing(present) -> None:
    world = present
    made = await world.open("#need:action help")
    await wait(world, hours=3)
    before = await world.rows("select * from asoe.service_clocks where ticket_id = $1 order by kind", made.id)
    await world.owner.execute("update asoe.service_watches set xid = 0, fact_id = 0")
    await world.owner.execute("update asoe.service_clocks set next_at = now()")
    await housekeeping.keep_service_levels(world.desk)
    after = await world.rows("select * from asoe.service_clocks where ticket_id = $1 order by kind", made.id)
    assert after == before
    assert await told(world, made) == [("breached", "first_response")]


async def test_a_lost_clock_is_found_again_from_the_facts(present) -> None:
    world = present
    made = await world.open("#need:action help")
    await wait(world, seconds=1)
    await world.owner.execute("delete from asoe.service_clocks")
    await desk_ticket.change_ticket(world.desk, world.acme.agent, made.id, {"tags": ["x"]})
    await wait(world, seconds=1)
    assert len(await service_level.read_clocks(world.desk, world.acme.agent, made.id)) == 2


async def test_a_new_promise_holds_for_clocks_that_run_and_not_for_what_was_met(present) -> None:
    world = present
    met = await world.answered("How do I export?")
    runs = await world.open("Different words #need:action")
    await wait(world, seconds=1)
    await promise(world, targets=[{"severity": "medium", "first_response": "1m", "resolution": "100h"}])
    await wait(world, minutes=10)
    assert await told(world, met) == []
    assert await told(world, runs) == [("breached", "first_response")]
    await promise(world, targets=[])
    await wait(world, hours=1)
    left = await service_level.read_clocks(world.desk, world.acme.agent, runs.id)
    assert left == []


async def test_spam_and_merged_tickets_owe_nothing(present) -> None:
    world = present
    spam, target, source = [await world.open(f"{word} #need:action") for word in ("one", "two", "three")]
    await wait(world, seconds=1)
    await desk_ticket.mark_spam(world.desk, world.acme.agent, spam.id)
    await desk_ticket.merge_ticket(world.desk, world.acme.agent, source.id, into=target.id)
    await wait(world, hours=50)
    assert await told(world, spam) == await told(world, source) == []
    assert await told(world, target) != []


async def test_a_plan_of_the_contact_decides_what_it_is_owed(present) -> None:
    world = present
    made = await world.open_by_contact("#need:action help")
    await service_level.set_plan(world.desk, world.acme.agent, made.contact_id, "gold")
    await wait(world, hours=1, minutes=1)
    assert await told(world, made) == [("breached", "first_response")]


async def test_another_organization_has_its_own_promise(present, globex) -> None:
    world = present
    made = await world.open("#need:action help")
    await wait(world, hours=30)
    assert (await service_level.pressing(world.desk, globex.owner)).clocks == []
    with pytest.raises(Exception, match="no ticket"):
        await service_level.read_clocks(world.desk, globex.agent, made.id)


async def test_clients_and_agents_do_not_promise(world) -> None:
    for who in (world.acme.agent, world.acme.client):
        with pytest.raises(Denied):
            await service_level.change_levels(world.desk, who, levels=PROMISE["service_levels"])
    with pytest.raises(Denied):
        await service_level.pressing(world.desk, world.acme.client)
    with pytest.raises(Invalid):
        await desk_people.change_organization(
            world.desk, world.acme.owner, settings={"service_levels": {"targets": [{"severity": "urgent"}]}}
        )
