"""What the dashboard tells leads to the thing itself: a ticket's number, the dossier's links, equal news as one line with its tickets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from browser_cast import COOKIE, House

from asoe.desk import delivery, notification, webhook
from asoe.domain.escalation import Link
from asoe.domain.organization import Principal
from asoe.store import escalations, facts
from asoe.web.site import create_site
from asoe.web.ticket import _readable_dossier

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def asking(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_site(house.app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://asoe.test") as client:
        yield client


async def cookie(house: House, who: Principal) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={await house.sign_in(who)}"}


async def test_a_tickets_number_leads_to_it_and_to_nobody_elses(house: House, asking: httpx.AsyncClient) -> None:
    made = await house.ticket(house.acme, subject="By number")
    signed_in = await cookie(house, house.acme.agent)
    for path in (f"/tickets/{made.number}", f"/tickets/%23{made.number}"):
        found = await asking.get(path, headers=signed_in)
        assert (found.status_code, found.headers["location"]) == (303, f"/tickets/{made.id}")
    for wrong in ("0", "999999999", "9" * 40, "٧٧", "-1", "77;", "%23"):
        assert (await asking.get(f"/tickets/{wrong}", headers=signed_in)).status_code == 404, wrong
    theirs = await house.ticket(house.globex, subject="Theirs")
    unknown = max(theirs.number, made.number) + 1000
    assert (await asking.get(f"/tickets/{unknown}", headers=signed_in)).status_code == 404
    met = await asking.get(f"/tickets/{theirs.number}", headers=signed_in)
    assert str(theirs.id) not in met.text + met.headers.get("location", "")
    stranger = await asking.get(f"/tickets/{made.number}")
    assert stranger.headers["location"].startswith("/sign-in")


async def test_a_dossier_shows_names_that_lead_on_and_no_ids(house: House, asking: httpx.AsyncClient) -> None:
    before = await house.ticket(house.acme, subject=f"Earlier {HOSTILE}")
    made = await house.ticket(house.acme, subject="Again")
    run, article = str(uuid4()), str(uuid4())
    links = (
        Link("ticket", str(before.id), "#1"),
        Link("run", run, f"Unlock {HOSTILE}"),
        Link("article", article, "Find your invoices"),
    )
    async with house.app.database.org_transaction(house.acme.engine) as connection:
        found = await escalations.newest(connection, house.acme.org_id, made.id)
        assert found is not None
        dossier = {**found.dossier, "links": [each.to_json() for each in links], "history": [f"#1 {HOSTILE}"]}
        await escalations.open_escalation(
            connection, house.acme.org_id, made.id, reasons=found.reasons, team=found.team, dossier=dossier
        )
    page = (await asking.get(f"/tickets/{made.id}", headers=await cookie(house, house.acme.agent))).text
    assert HOSTILE not in page
    card = page.partition('id="dossier-title"')[2].partition("</section>")[0]
    for path in (f"/tickets/{before.id}", f"/runs/{run}", f"/knowledge/{article}"):
        assert f'href="{path}"' in card
    shown = re.sub(r"<[^>]*>", "", card)
    assert "Find your invoices" in shown
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", shown)


async def test_a_sender_nobody_has_proven_is_named_on_the_ticket(house: House, asking: httpx.AsyncClient) -> None:
    about = {"is_verified": False, "authentication": {"spf": "fail", "dkim": HOSTILE}, "reason": "forged_signature"}
    made = await house.ticket(house.acme, subject="Pay me", channel="email", metadata={"mail": about})
    page = (await asking.get(f"/tickets/{made.id}", headers=await cookie(house, house.acme.agent))).text
    assert "Sender not proven" in page
    assert "spf fail" in page
    assert HOSTILE not in page
    plain = await house.ticket(house.acme, subject="As usual")
    assert (
        "not proven"
        not in (await asking.get(f"/tickets/{plain.id}", headers=await cookie(house, house.acme.agent))).text
    )


def test_a_dossier_of_before_there_were_links_is_shown_without() -> None:
    old = {"links": ["/api/support/ticket/x", 7, {"kind": "javascript", "id": "alert(1)"}], "history": ["#3 before"]}
    assert _readable_dossier(old) == {"history": [("#3 before", "")], "links": []}
    assert _readable_dossier({}) == {"history": [], "links": []}


async def test_equal_news_is_one_line_with_how_often_and_of_what(house: House, asking: httpx.AsyncClient) -> None:
    who, desk = house.globex.admin, house.app.desk
    made = [await house.ticket(house.globex, subject=f"News {n} {HOSTILE}") for n in range(5)]
    run = await house.runbook(house.globex, subject="An act")
    await notification.mark_read(desk, who)
    async with desk.database.org_transaction(house.globex.engine) as connection:
        for each in (*made, made[0], made[0]):
            await facts.record(connection, house.globex.engine, "service_level.breached", ticket_id=each.id)
        for approval_id in (run["approval_id"], str(uuid4())):
            await facts.record(
                connection, house.globex.engine, "approval.requested", ticket_id=made[1].id, approval_id=approval_id
            )
    await notification.spread(desk)
    signed_in = await cookie(house, who)
    page = (await asking.get("/notifications", headers=signed_in)).text
    assert HOSTILE not in page
    assert page.count("A service level was missed</h2>") == 1
    group = page.partition("A service level was missed</h2>")[2].partition("</section>")[0]
    assert "7 times" in group
    assert "7 new: mark as read" in group
    assert "3 times, last" in group, "one ticket of which it was told three times is one line"
    assert [f"#{each.number} " in group for each in made] == [True] * 5
    assert "2 more" in group
    acts = page.partition("An act waits for approval</h2>")[2].partition("</section>")[0]
    assert acts.count("Decide on") == 1
    assert acts.count("See what was decided on") == 1, "an act that waits no more asks nobody to decide"
    told, _ = await notification.read_inbox(desk, who, limit=300)
    mine = {line.delivery.id for line in told if line.delivery.kind == "service_level.breached"}
    posted = re.findall(r'name="id" value="([^"]+)"', group)
    assert len(posted) == 7
    assert set(posted) <= {str(each) for each in mine}
    others = await asking.get("/notifications", headers=await cookie(house, house.acme.admin))
    assert "News 0" not in others.text


async def test_what_was_given_up_is_seen_with_whom_it_was_for_and_sent_again(
    house: House, asking: httpx.AsyncClient
) -> None:
    desk, acme = house.app.desk, house.acme
    hooks = [
        (
            await webhook.add_webhook(desk, acme.owner, name=name, url=f"https://{at}.example/in", events=["ticket.*"])
        ).webhook
        for name, at in ((f"CRM {HOSTILE}", "crm"), ("Ledger", "ledger"))
    ]
    made = await house.ticket(acme, subject="Told outside")
    await notification.spread(desk)
    for hook in hooks:
        await webhook.set_disabled(desk, acme.owner, hook.id, why="by hand")
        for each in await delivery.list_deliveries(desk, acme.owner, recipient=f"webhook:{hook.id}"):
            await delivery.deliver(desk, acme.org_id, each.id)
    given_up = await delivery.list_deliveries(desk, acme.owner, status="dead", limit=200)
    assert len(given_up) >= 2
    signed_in = await cookie(house, acme.owner)
    page = (await asking.get("/settings/webhooks", headers=signed_in)).text
    assert HOSTILE not in page
    for each in given_up:
        assert page.count(f"/settings/deliveries/{each.id}/replay") == 1, "each once"
    assert all(name in page for name in ("CRM &lt;script&gt;", "Ledger", f'href="/tickets/{made.id}"'))
    csrf = re.search(r'name="_csrf" value="([^"]+)"', page)
    assert csrf is not None
    again = await asking.post(
        "/settings/deliveries/replay", headers={**signed_in, "Origin": "http://asoe.test"}, data={"_csrf": csrf[1]}
    )
    assert again.status_code == 303
    assert await delivery.list_deliveries(desk, acme.owner, status="dead") == []
    tried = await delivery.list_deliveries(desk, acme.owner, status="pending", channel="webhook", limit=200)
    assert {each.id for each in given_up} <= {each.id for each in tried}, "the same, under the ids they had"
    agents = await cookie(house, acme.agent)
    assert (await asking.get("/settings/webhooks", headers=agents)).status_code == 403
