"""Tickets and articles whose job was lost, or that came in as bare rows, are found; what a deleted organization left is not."""

from __future__ import annotations

import json
from uuid import uuid4

from asoe.desk import housekeeping, journey, knowledge
from asoe.domain.knowledge import ArticleText
from asoe.store.organizations import delete_organization


async def insert_as_client(world, **columns):
    """One row by plain SQL, as PostgREST would insert it for Ana."""
    claims = {"sub": str(world.acme.client.user_id), "role": "authenticated"}
    ticket_id = uuid4()
    async with world.owner.transaction():
        await world.owner.execute("set local role none")
        await world.owner.execute("set local role authenticated")
        await world.owner.execute("select set_config('request.jwt.claims', $1, true)", json.dumps(claims))
        await world.owner.execute(
            "insert into public.support_tickets (id, org_id, user_id, category, subject, metadata) "
            "values ($1, $2, $3, 'general', $4, $5)",
            ticket_id,
            world.acme.org_id,
            world.acme.client.user_id,
            columns.get("subject", ""),
            json.dumps(columns.get("metadata", {})),
        )
    return ticket_id


async def an_hour_passes(world):
    await world.owner.execute("alter table public.support_tickets disable trigger support_tickets_touch")
    await world.owner.execute("update public.support_tickets set updated_at = updated_at - interval '1 hour'")
    await world.owner.execute("alter table public.support_tickets enable trigger support_tickets_touch")
    await world.owner.execute("update asoe.articles set updated_at = updated_at - interval '1 hour'")


async def test_a_ticket_inserted_in_plain_sql_gets_a_session_with_its_words_and_a_journey(world):
    ticket_id = await insert_as_client(world, metadata={"subject": None, "description": "How do I export?"})
    await housekeeping.wake_forgotten(world.desk)
    assert await world.jobs() == 0, "it may still be in somebody's hands"
    await an_hour_passes(world)
    await housekeeping.wake_forgotten(world.desk)
    await housekeeping.wake_forgotten(world.desk)
    assert await world.jobs() == 1
    said = await world.rows("select role, content, author from asoe.session_messages where ticket_id = $1", ticket_id)
    assert said == [{"role": "user", "content": "How do I export?", "author": world.acme.client.user_id}]
    await world.drain()
    found = (await world.rows("select status, waiting_for from public.support_tickets where id = $1", ticket_id))[0]
    assert found == {"status": "in_progress", "waiting_for": "client"}
    assert world.ai.triaged == ["\nHow do I export?"], "null is no word"


async def test_a_published_article_whose_job_was_lost_is_indexed_after_all(world):
    text = ArticleText(title="Export", slug="export", language="en", body="Press export.")
    saved = await knowledge.save_article(world.desk, world.acme.admin, text, publish_now=True)
    await world.owner.execute("delete from queue.pgqueuer")
    await world.owner.execute("update asoe.articles set updated_at = now()")
    await housekeeping.wake_forgotten(world.desk)
    assert await world.jobs() == 0, "its job may still be under way"
    await an_hour_passes(world)
    await housekeeping.wake_forgotten(world.desk)
    await housekeeping.wake_forgotten(world.desk)
    (job,) = await world.rows("select entrypoint, payload from queue.pgqueuer")
    assert job["entrypoint"] == "index_article"
    assert json.loads(job["payload"])["article_id"] == str(saved.id)


async def test_the_jobs_of_a_deleted_organization_go_with_it_or_end_quietly(world, globex, owner_dsn):
    made = await world.open()
    await knowledge.save_article(
        world.desk,
        world.acme.admin,
        ArticleText(title="Export", slug="export", language="en", body="Press export."),
        publish_now=True,
    )
    assert await world.jobs() == 2
    await delete_organization(owner_dsn, world.acme.org_id)
    assert await world.jobs() == 0
    assert await journey.carry_on(world.desk, world.acme.org_id, made.id) == "gone"
    assert await knowledge.index_article(world.desk, world.acme.org_id, uuid4()) is False
    assert await knowledge.index_article(world.desk, globex.org_id, uuid4()) is False
