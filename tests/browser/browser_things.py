"""One of each thing that pages show, in words of the caller's: for whoever wants to see them all, or none of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg
from browser_cast import House

from asoe.desk import (
    attachment,
    autonomy,
    canned_reply,
    connector_settings,
    housekeeping,
    intent,
    knowledge,
    notification,
    people,
    routing,
    saved_view,
    session,
    topic,
    widget,
)
from asoe.desk.incident import alerting, handling
from asoe.desk.incident.handling import Wanted
from asoe.desk.intake import NewContact
from asoe.desk.widget import WidgetChange
from asoe.domain.knowledge import ArticleText
from asoe.domain.notification import Delivery
from asoe.store import connectors, deliveries, facts, webhooks
from cast import ADVICE, make_advice, make_answer, make_org, make_wish

if TYPE_CHECKING:
    from tests.cast import Org


async def one_of_each(house: House, org: Org, words: str, *, secret: str = "") -> dict[str, str]:
    """By the name that paths give its id; `secret` stands in what only the team reads."""
    desk, owner, secret = house.app.desk, org.owner, secret or words
    opened = await house.ticket(org, subject=words, body=words, tags=(words[:60],))
    file = await attachment.attach(
        desk, owner, opened.id, name=f"{words}.txt", media_type="text/plain", content=secret.encode()
    )
    text = ArticleText(
        words,
        f"of-{org.slug}-{uuid4().hex[:8]}",
        "en",
        secret,
        audience="agent",
        tags=(words[:40],),
        questions=(words,),
    )
    article = await knowledge.save_article(desk, owner, text, publish_now=True)
    await knowledge.save_article(desk, owner, text, expected_version=1)
    key = await people.create_key(desk, owner, name=words, role="agent")
    invitation = await people.invite(desk, owner, email=f"{uuid4().hex}@{org.slug}.example", role="agent")
    incident = await handling.open_incident(desk, owner, Wanted(words, intent="outage", known=words))
    source = await alerting.add_source(desk, owner, name=words[:60], kind="grafana", proof="hmac")
    return {
        "ticket_id": str(opened.id),
        "agent_run_id": await house.agent_run(org, opened.id),
        "attachment_id": str(file.id),
        "article_id": str(article.id),
        "key_id": str(key.key.id),
        "invitation_id": str(invitation.invitation.id),
        "user_id": str(org.agent.user_id),
        **await house.runbook(org, subject=words),
        **await _outgoing(house, org, words),
        "view_id": str((await saved_view.save_view(desk, owner, words[:60], {"view": "all"}, is_shared=True)).id),
        "backtest_id": await house.backtest(org),
        "connector": await house.connector(org, f"of-{org.slug}"),
        "answer_id": str(await make_answer(house.app.database, org.engine, opened.id, words=words)),
        "recommendation_number": str(await make_advice(house.app.database, org.engine, tickets=(opened.id,))),
        "wish_number": str(await make_wish(house.app.database, org.engine, opened.id, words)),
        "incident_id": str(incident.id),
        "source_id": str(source.source.id),
        "token": "asoe_invite_" + "x" * 43,
        "link": "x" * 160,  # a forged one
        "org": org.slug,  # its widget and help page are off
        "article": text.slug,
    }


async def hostile_organization(house: House, words: str) -> tuple[Org, dict[str, str]]:
    """An organization in which every word that anybody wrote is this one, and the ids of its things."""
    org = await make_org(house.app.owner_url, "mallory")
    desk, owner = house.app.desk, org.owner
    things = await one_of_each(house, org, words)
    opened = UUID(things["ticket_id"])
    for number in range(4):
        who = NewContact(email=f"m{number}@example.com", name=words)
        await house.ticket(org, subject=words, body=f"{words} {number}", contact=who)
    await session.add_note(desk, org.agent, opened, words)
    await people.add_member(desk, owner, email="m@mallory.example", name=words, role="agent")
    await canned_reply.put_reply(desk, owner, "hostile", title=words, body=words)
    await intent.add_intent(
        desk, owner, "hostile", category="general", title=words, description=words, examples=[words]
    )
    await autonomy.lend(desk, owner, things["name"], reason=words, until=desk.clock() + timedelta(days=1))
    await autonomy.stop_acts(desk, owner, words)
    await connector_settings.disable_connector(desk, owner, things["connector"], why=words)
    await routing.change_teams(desk, owner, teams={words: {"levels": [{"members": ["m@mallory.example"]}]}})
    await people.change_organization(desk, owner, name=words, settings={"audit_share": 1, "signature": words})
    await widget.change_widget(
        desk, owner, WidgetChange(is_on=True, takes_anonymous=True, shows_help=True, greetings={"en": words})
    )
    text = ArticleText(words, "open-to-all", "en", f"# {words}\n\n{words}")
    await knowledge.save_article(desk, owner, text, publish_now=True)
    for kind in ADVICE:
        await make_advice(house.app.database, org.engine, kind=kind, key=str(uuid4()), tickets=(opened,))
    async with house.app.database.org_transaction(org.engine) as connection:
        await facts.record(connection, org.engine, "service_level.breached", ticket_id=opened)
        found = await connectors.read(connection, org.org_id, things["connector"])
        assert found is not None
        await connectors.note_trouble(connection, org.org_id, found.id, detail=words, pause=None)
    await notification.spread(desk)
    await topic.compute(desk, owner)
    await housekeeping.keep_counters(desk)
    await _rewrite(house.app.owner_url or "", org.org_id, words)
    link = (await house.link(owner, things["approval_id"])).rpartition("/")[2]
    return org, {**things, "article": "open-to-all", "link": link}


async def _rewrite(owner_url: str, org_id: UUID, words: str) -> None:
    """What only systems, models and runs write."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute("set role asoe_owner")
        for change in (
            "update asoe.runbooks set title = $2 where org_id = $1",
            "update asoe.runbook_versions set source = source || E'\n# ' || $2 where org_id = $1",
            "update asoe.runbook_runs set note = $2 where org_id = $1",
            "update asoe.approvals set card = jsonb_build_object('evidence', jsonb_build_object($2::text, $2), 'why', $2) where org_id = $1",
            "update asoe.deliveries set trouble = $2 where org_id = $1 and channel = 'webhook'",
            "update asoe.topics set name = $2 where org_id = $1",
            "update asoe.incidents set trouble = $2 where org_id = $1",
            "update asoe.backtests set report = jsonb_set(report, '{cases,0,note}', to_jsonb($2::text)) where org_id = $1",
        ):
            await connection.execute(change, org_id, words)
    finally:
        await connection.close()


async def _outgoing(house: House, org: Org, words: str) -> dict[str, str]:
    """A webhook, and a delivery to it that did not get through."""
    hook, sent, now = uuid4(), uuid4(), house.app.desk.clock()
    dead = Delivery(sent, 1, "ticket.opened", now, None, "webhook", f"webhook:{hook}", {}, now)
    async with house.app.database.org_transaction(org.owner) as connection:
        await webhooks.add(
            connection,
            org.org_id,
            hook,
            kind="signed",
            name=words,
            place=f"https://{org.slug}.example",
            sealed=b"x",
            events=["*"],
            allow_private=False,
            created_by=org.owner.user_id,
        )
        await deliveries.add(connection, org.org_id, [dead], at=now)
    return {"webhook_id": str(hook), "delivery_id": str(sent)}
