"""The figures by mail: at seven by the reader's own clock, once a day or week whatever crashes, as the role reads them, escaped."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from mail_cast import Post, try_due, use_post

from asoe.desk import briefing, delivery, housekeeping, intake, notification
from asoe.desk import ticket as desk_ticket
from asoe.desk.context import Desk
from asoe.domain.briefing import briefing_id, days_of, due, last_moment
from asoe.domain.errors import Denied, Invalid
from asoe.domain.notification import Preferences
from cast import make_advice

if TYPE_CHECKING:
    from tests.conftest import Org
    from tests.flow.flow_cast import Clock

BEN = "ben.agent@acme.example"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def told(desk: Desk) -> None:
    await briefing.send_due(desk)
    await try_due(desk)


async def chose(desk: Desk, who: Any, every: str, zone: str = "UTC") -> None:
    await notification.change_preferences(desk, who, Preferences(briefing=every, zone=zone))


@pytest.mark.parametrize(
    ("every", "zone", "now", "moment"),
    [
        ("daily", "UTC", "2026-11-24T07:00", "2026-11-24T07:00"),
        ("daily", "UTC", "2026-11-24T06:59", "2026-11-23T07:00"),
        ("daily", "Europe/Berlin", "2026-07-01T05:30", "2026-07-01T05:00"),
        ("daily", "Pacific/Auckland", "2026-11-23T18:30", "2026-11-23T18:00"),
        ("weekly", "Europe/Berlin", "2026-11-23T06:00", "2026-11-23T06:00"),
        ("weekly", "Europe/Berlin", "2026-11-23T05:59", "2026-11-16T06:00"),
        ("weekly", "America/New_York", "2026-11-25T12:00", "2026-11-23T12:00"),
        ("daily", "Europe/Berlin", "2026-03-29T05:00", "2026-03-29T05:00"),  # the clock went forward that night
    ],
)
def test_it_is_due_at_seven_by_the_readers_clock(every: str, zone: str, now: str, moment: str) -> None:
    assert last_moment(every, zone, at(now)) == at(moment)


def test_it_is_about_days_that_are_over_and_never_made_long_after_or_before_it_was_chosen() -> None:
    monday = at("2026-11-23T07:00")
    assert days_of("daily", monday) == (date(2026, 11, 22), date(2026, 11, 23))
    assert days_of("weekly", monday) == (date(2026, 11, 16), date(2026, 11, 23))
    assert due("off", "UTC", None, monday) is None
    assert due("daily", "UTC", monday + timedelta(seconds=1), monday + timedelta(hours=1)) is None
    assert due("daily", "UTC", None, monday + timedelta(hours=21)) is None
    assert due("weekly", "UTC", None, monday + timedelta(days=2)) == monday


async def test_it_comes_once_a_day_whoever_makes_it_and_however_often(
    desk: Desk, acme: Org, post: Post, clock: Clock
) -> None:
    await use_post(desk, acme, post)
    clock.now = at("2026-11-17T12:00")
    await chose(desk, acme.agent, "daily")
    await told(desk)
    assert post.taken == [], "what was over before it was chosen is not told"
    clock.now = at("2026-11-18T07:00")
    await asyncio.gather(*(briefing.send_due(desk) for _ in range(6)))
    post.says = "451 later"
    await try_due(desk)
    assert post.taken == []
    post.says = "250 OK"
    clock.now = at("2026-11-18T09:00")
    await delivery.wake_due(desk)
    for _ in range(3):
        await told(desk)
    (mail,) = post.to(BEN)
    assert mail["Subject"] == "[Acme] Briefing, 2026-11-17"
    sent = briefing_id(acme.org_id, acme.agent.user_id, "daily", at("2026-11-18T07:00"), "UTC")
    assert mail["Message-ID"] == f"<{sent.hex}@acme.example>"
    # another zone on the same day makes no second one
    await chose(desk, acme.agent, "daily", "America/New_York")
    clock.now = at("2026-11-18T13:00")
    await told(desk)
    assert len(post.to(BEN)) == 1
    clock.now = at("2026-11-19T12:00")
    await told(desk)
    assert len(post.to(BEN)) == 2
    await chose(desk, acme.agent, "off")
    clock.now = at("2026-11-20T13:00")
    await told(desk)
    assert len(post.taken) == 2


async def test_each_role_reads_its_own_and_strangers_words_stay_text(
    desk: Desk, acme: Org, globex: Org, post: Post, clock: Clock
) -> None:
    await use_post(desk, acme, post)
    clock.now = at("2026-11-17T06:00")
    for who, every in ((acme.owner, "daily"), (acme.admin, "weekly"), (acme.agent, "daily")):
        await chose(desk, who, every)
    wanted = intake.NewTicket(subject="<b>Invoice</b>", body="Where is it?", category="billing", severity="high")
    opened = await intake.open_ticket(desk, acme.engine, wanted)
    await desk_ticket.change_ticket(desk, acme.owner, opened.id, {"assignee": acme.agent.user_id})
    async with desk.database.org_transaction(acme.engine) as connection:
        await connection.execute(
            "insert into asoe.service_clocks (org_id, ticket_id, kind, started_at, target, used, due_at) values ($1, $2, 'resolution', $3, '1 hour', '0', $3)",
            acme.org_id, opened.id, clock.now,
        )  # fmt: skip
    await housekeeping.keep_counters(desk)
    await make_advice(desk.database, acme.engine, kind="connector", key="<i>shop</i>")
    clock.now = at("2026-11-18T07:30")
    await told(desk)
    assert {each["X-Recipients"] for each in post.taken} == {BEN, "cleo@acme.example"}
    (mine,) = post.to(BEN)
    text, html = (mine.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "1 open: 1 " in text
    assert "Promises: 1 late, 0 due within a day." in text
    assert f"#{opened.number} <b>Invoice</b>: resolution" in text
    assert "&lt;b&gt;Invoice" in html
    assert "<b>" not in html
    assert "Runbooks" not in text
    (lead,) = post.to("cleo@acme.example")
    text = lead.get_body(("plain",)).get_content()
    assert "1 tickets came in; 0 in as much time before." in text
    assert "To do: See to a connector: <i>shop</i> (3 cases; about 3.0 a month)" in text
    assert "Approvals: 0 wait" in text
    assert "https://desk.acme.example/briefing?every=daily" in text
    # the page says the same, and no more than a role may see
    found = await briefing.read_briefing(desk, acme.agent, every="daily")
    assert (found.parts, found.mine.open if found.mine else 0) == (("mine",), 1)
    assert (await briefing.read_briefing(desk, acme.agent, part="figures")).figures is not None
    with pytest.raises(Denied):
        await briefing.read_briefing(desk, acme.agent, part="running")
    with pytest.raises(Denied):
        await briefing.read_briefing(desk, acme.client)
    with pytest.raises(Invalid):
        await briefing.read_briefing(desk, acme.owner, every="hourly")
    with pytest.raises(Invalid):
        await chose(desk, acme.agent, "hourly")
    theirs = await briefing.read_briefing(desk, globex.owner)
    assert theirs.figures is not None
    assert (theirs.figures.report.total.tickets, theirs.figures.advice) == (0, ())


async def test_a_weekly_one_comes_on_monday_and_one_that_is_late_by_days_not_at_all(
    desk: Desk, acme: Org, post: Post, clock: Clock
) -> None:
    await use_post(desk, acme, post)
    clock.now = at("2026-11-26T12:00")
    await chose(desk, acme.admin, "weekly", "Europe/Berlin")
    clock.now = at("2026-11-27T12:00")
    await told(desk)
    assert post.taken == []
    clock.now = at("2026-11-30T06:00")
    await told(desk)
    (mail,) = post.taken
    assert mail["Subject"] == "[Acme] Briefing, 2026-11-23 to 2026-11-29"
    assert "Connectors: 0, none in trouble." in mail.get_body(("plain",)).get_content()
    clock.now = at("2026-12-11T12:00")
    await told(desk)
    assert len(post.taken) == 1
