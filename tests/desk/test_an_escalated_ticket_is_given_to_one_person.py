"""Routing: one person, exactly once, whatever runs twice or crashes; the next level when nobody takes it; never past a person's hand."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from asoe.desk import housekeeping, people, routing, service_level, session
from asoe.desk import ticket as desk_ticket
from asoe.domain.errors import Denied, Invalid
from asoe.domain.routing import Level, Need, Rota, Routing, Somebody, Team, choose, read_routing

ASKS = "I need a person #intent:wants_a_person #need:action #category:billing"


@pytest.fixture
async def staffed(world):
    """Billing: Ben and Dora, then Eve, then the owner; the clock is at the present."""
    world.clock.now = datetime.now(UTC)
    world.staff = {"cleo": world.acme.owner.user_id}
    for name in ("ben", "dora", "eve"):
        made = await people.add_member(
            world.desk, world.acme.owner, email=f"{name}@acme.example", name=name, role="agent"
        )
        world.staff[name] = made.user_id
    await set_teams(world)
    return world


@pytest.fixture
def world(world):
    class Staffed(type(world)):
        staff: dict

    world.__class__ = Staffed
    return world


async def set_teams(world, **team) -> None:
    levels = [
        {"members": ["ben@acme.example", "dora@acme.example"], "take_within": "30m"},
        {"members": ["eve@acme.example"], "take_within": "1h"},
    ]
    await routing.change_teams(world.desk, world.acme.owner, teams={"billing": {"levels": levels, **team}})


async def escalated(world, body: str = ASKS):
    made = await world.open_by_contact(body, email=f"{abs(hash(body))}@example.org")
    await world.advance(made)
    await look(world)
    return made


async def look(world, **by: float) -> None:
    world.clock.move(**by)
    await housekeeping.keep_service_levels(world.desk)


async def holder(world, made) -> str | None:
    found = (await world.now(made)).assignee
    return next((name for name, user in world.staff.items() if user == found), None)


async def told(world, made, kind: str) -> list[dict]:
    rows = await world.rows("select data from asoe.facts where ticket_id = $1 and kind = $2 order by id", made.id, kind)
    return [json.loads(row["data"]) for row in rows]


async def test_it_goes_to_whoever_has_least_to_do_and_says_why(staffed) -> None:
    world = staffed
    first, second, third = [await escalated(world, f"{word}: {ASKS}") for word in ("one", "two", "three")]
    assert [await holder(world, each) for each in (first, second, third)] == ["ben", "dora", "ben"]
    (fact,) = await told(world, second, "ticket.assigned")
    assert (fact["level"], fact["because"], fact["team"]) == (1, ["least_loaded"], "billing")
    (found,) = await routing.history(world.desk, world.acme.agent, second.id)
    assert found.others == ((str(world.staff["ben"]), "load"),)


async def test_when_nobody_takes_it_the_next_level_gets_it_and_at_last_the_owner(staffed) -> None:
    world = staffed
    made = await escalated(world)
    await look(world, minutes=29)
    assert await holder(world, made) == "ben"
    await look(world, minutes=2)
    assert await holder(world, made) == "eve"
    await look(world, minutes=61)
    assert await holder(world, made) in {"cleo", None}
    await look(world, hours=100)
    found = await routing.history(world.desk, world.acme.agent, made.id)
    assert [(each.level, each.ending) for each in found] == [(1, "passed"), (2, "passed"), (3, None)]
    assert found[-1].is_last
    raised = await told(world, made, "ticket.raised")
    assert [(each["level_before"], each["level"]) for each in raised] == [(1, 2), (2, 3)]
    assert len(await told(world, made, "ticket.assigned")) == 3


async def test_who_takes_it_keeps_it(staffed) -> None:
    world = staffed
    taken, answered, by_hand = [await escalated(world, f"{word}: {ASKS}") for word in ("one", "two", "three")]
    await session.take_over(world.desk, world.acme.agent, taken.session_id)
    await session.add_message(world.desk, world.acme.agent, answered.session_id, "agent", "I am on it.")
    await desk_ticket.change_ticket(world.desk, world.acme.agent, by_hand.id, {"assignee": world.staff["eve"]})
    await look(world, hours=10)
    assert (await world.now(taken)).assignee == world.acme.agent.user_id
    assert await holder(world, by_hand) == "eve"
    for made in (taken, answered, by_hand):
        (found,) = await routing.history(world.desk, world.acme.agent, made.id)
        assert found.ending == "taken"


async def test_an_ended_or_handed_back_ticket_lies_with_nobody(staffed) -> None:
    world = staffed
    ended, back = [await escalated(world, f"{word}: {ASKS}") for word in ("one", "two")]
    await desk_ticket.move_ticket(world.desk, world.acme.agent, ended.id, "resolved")
    await session.hand_back(world.desk, world.acme.agent, back.session_id)
    await look(world, seconds=1)
    for made in (ended, back):
        found = await routing.history(world.desk, world.acme.agent, made.id)
        assert found[0].ending is not None
    await look(world, hours=10)
    assert len(await routing.history(world.desk, world.acme.agent, ended.id)) == 1


async def test_a_ticket_that_changes_teams_is_given_anew(staffed) -> None:
    world = staffed
    made = await escalated(world)
    await desk_ticket.change_ticket(world.desk, world.acme.agent, made.id, {"team": "unknown", "assignee": None})
    await look(world, seconds=1)
    found = await routing.history(world.desk, world.acme.agent, made.id)
    assert [(each.team, each.ending) for each in found] == [("billing", "changed"), ("unknown", None)]
    assert found[-1].is_last


async def test_outside_their_hours_it_waits_until_they_open(staffed) -> None:
    world = staffed
    opens = world.clock.now + timedelta(days=2)
    day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[opens.weekday()]
    await service_level.change_levels(
        world.desk, world.acme.owner, business_hours={"late": {"zone": "UTC", "week": {day: ["00:00-24:00"]}}}
    )
    await set_teams(world, hours="late")
    made = await escalated(world)
    (fact,) = await told(world, made, "ticket.assigned")
    assert (fact["assignee"], fact["because"]) == (None, ["closed"])
    await look(world, hours=48)
    assert await holder(world, made) == "ben"
    assert await told(world, made, "ticket.raised") == []


async def test_an_organization_without_teams_keeps_its_queue(world) -> None:
    world.clock.now = datetime.now(UTC)
    made = await escalated(world)
    assert (await world.now(made)).assignee is None
    assert await routing.history(world.desk, world.acme.agent, made.id) == []


async def test_many_hands_at_once_give_each_ticket_once_and_nobody_too_many(staffed) -> None:
    world = staffed
    profiles = {f"{name}@acme.example": {"capacity": 2} for name in ("ben", "dora", "eve")}
    await routing.change_teams(world.desk, world.acme.owner, people=profiles)
    made = [await world.open_by_contact(f"{n}: {ASKS}", email=f"k{n}@example.org") for n in range(9)]
    for each in made:
        await world.advance(each)
    looks = [service_level.look(world.desk, world.acme.engine, each.id) for each in made for _ in range(3)]
    Random(5).shuffle(looks)
    await asyncio.gather(*looks)
    holders = [await holder(world, each) for each in made]
    assert {name: holders.count(name) for name in ("ben", "dora", "eve")} == {"ben": 2, "dora": 2, "eve": 2}
    for each in made:
        assert len(await told(world, each, "ticket.assigned")) == 1


async def test_a_crash_between_two_looks_gives_nothing_twice(staffed, monkeypatch) -> None:
    world = staffed
    made = await world.open_by_contact(ASKS)
    await world.advance(made)

    async def dies(*_args, **_more):
        raise RuntimeError("the worker is gone")

    with monkeypatch.context() as patched:
        patched.setattr(routing.facts, "record_all", dies)
        await look(world, seconds=1)
    assert (await world.now(made)).assignee is None
    assert await routing.history(world.desk, world.acme.agent, made.id) == []
    await look(world, seconds=1)
    await world.owner.execute("update asoe.service_watches set xid = 0, fact_id = 0")
    await look(world, seconds=1)
    assert await holder(world, made) == "ben"
    assert len(await told(world, made, "ticket.assigned")) == 1


async def test_strangers_and_clients_see_and_change_nothing(staffed, globex) -> None:
    world = staffed
    made = await escalated(world)
    with pytest.raises(Denied):
        await routing.history(world.desk, world.acme.client, made.id)
    with pytest.raises(Denied):
        await routing.change_teams(world.desk, world.acme.agent, teams={})
    with pytest.raises(Exception, match="no ticket"):
        await routing.history(world.desk, globex.owner, made.id)
    with pytest.raises(Invalid) as caught:
        await routing.change_teams(world.desk, world.acme.owner, teams={"billing": {"levels": [{"members": "ben"}]}})
    assert caught.value.code == "bad_routing"


# --- the choice itself


def test_a_turn_changes_on_the_wall_also_when_the_clocks_do() -> None:
    rota = Rota(("ann@x", "bob@x"), datetime(2026, 10, 19, 9), 7, "Europe/Berlin")
    before, after = datetime(2026, 10, 26, 7, 59, tzinfo=UTC), datetime(2026, 10, 26, 8, 0, tzinfo=UTC)
    assert (rota.on_call(before), rota.on_call(after)) == ("ann@x", "bob@x")  # nine o'clock is 08:00 UTC since Sunday
    assert rota.on_call(datetime(2026, 10, 19, 6, 59, tzinfo=UTC)) is None


def test_days_and_times_without_a_zone_are_the_walls_where_people_work() -> None:
    rota = {
        "members": ["ann@x"],
        "from": "2026-10-19T09:00",
        "zone": "Europe/Berlin",
        "overrides": [
            {"who": "bob@x", "from": "2026-10-25", "to": "2026-10-26"},  # the day of 25 hours
            {"who": "cat@x", "from": "2026-10-27T09:00+00:00", "to": "2026-10-27T17:00+00:00"},
        ],
    }
    found = read_routing(
        {
            "business_hours": {"tokyo": {"zone": "Asia/Tokyo", "week": {"mon": ["09:00-17:00"]}}},
            "teams": {"t": {"levels": [{"rota": rota}]}},
            "people": {
                "ann@x": {"hours": "tokyo", "away": [{"from": "2026-12-27", "to": "2026-12-28"}]},
                "bob@x": {"away": [{"from": "2026-12-27", "to": "2026-12-28"}]},
            },
        }
    )

    def on_call(day: int, hour: int, minute: int = 0) -> str | None:
        read = found.teams["t"].levels[0].rota
        assert read is not None
        return read.on_call(datetime(2026, 10, day, hour, minute, tzinfo=UTC))

    assert [on_call(24, 21, 59), on_call(24, 22), on_call(25, 22, 59), on_call(25, 23)] == [
        "ann@x",
        "bob@x",
        "bob@x",
        "ann@x",
    ]
    assert [on_call(27, 8, 59), on_call(27, 9), on_call(27, 17)] == ["ann@x", "cat@x", "ann@x"]
    assert found.people["ann@x"].away == (
        (datetime(2026, 12, 26, 15, tzinfo=UTC), datetime(2026, 12, 27, 15, tzinfo=UTC)),
    )
    assert found.people["bob@x"].away == ((datetime(2026, 12, 27, tzinfo=UTC), datetime(2026, 12, 28, tzinfo=UTC)),)
    edge = {"away": [{"from": "0001-01-01", "to": "9999-12-31"}], "hours": "tokyo"}
    kept = read_routing(
        {
            "business_hours": {"tokyo": {"zone": "Asia/Tokyo", "week": {"mon": ["09:00-17:00"]}}},
            "people": {"ann@x": edge},
        }
    )
    assert kept.people["ann@x"].away[0][0].year == 1


def test_the_turns_to_come_are_told_with_who_stands_in() -> None:
    away = ("cat@x", datetime(2026, 10, 27, 0, tzinfo=UTC), datetime(2026, 10, 28, 0, tzinfo=UTC))
    rota = Rota(("ann@x", "bob@x"), datetime(2026, 10, 19, 9), 7, "Europe/Berlin", (away,))
    told = rota.turns(datetime(2026, 10, 20, 12, tzinfo=UTC), most=5)
    assert [who for who, _ in told] == ["ann@x", "bob@x", "cat@x", "bob@x", "ann@x"]
    assert all(rota.on_call(at) == who for who, at in told)
    assert told[1][1] == datetime(2026, 10, 26, 8, tzinfo=UTC)
    assert rota.turns(datetime(2026, 10, 1, tzinfo=UTC))[:2] == [
        (None, datetime(2026, 10, 1, tzinfo=UTC)),
        ("ann@x", datetime(2026, 10, 19, 7, tzinfo=UTC)),
    ]
    never = Rota(("ann@x", "bob@x"), datetime(9999, 12, 31), 366)
    assert never.turns(datetime(2026, 11, 1, tzinfo=UTC))[0][0] is None
    alone = Rota(("ann@x",), datetime(2026, 10, 19, 9))
    assert len(alone.turns(datetime(2026, 11, 1, tzinfo=UTC))) == 1


def test_round_robin_goes_around() -> None:
    team = Routing({"t": Team((Level(("ann@x", "bob@x", "cat@x")),), spread="round_robin")})
    now = datetime(2026, 11, 24, 10, tzinfo=UTC)
    given: dict = {}
    order = []
    for turn in range(7):
        folk = [Somebody(uid(n), f"{n}@x", "agent", 9 * (n == "ann"), given.get(n)) for n in ("ann", "bob", "cat")]
        chosen = choose(team, Need("t", "low"), folk, now=now).user_id
        name = next(each.email[:3] for each in folk if each.user_id == chosen)
        given[name] = now + timedelta(minutes=turn)
        order.append(name)
    assert order == ["ann", "bob", "cat", "ann", "bob", "cat", "ann"]


def uid(name: str):
    from uuid import UUID, uuid5

    return uuid5(UUID(int=1), name)
