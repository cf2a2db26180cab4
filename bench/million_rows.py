"""Fills a database with many tickets fast: several organizations of very different sizes, most tickets closed.

Triggers are off while loading; what they would have written (numbers, tally, mirror) is written in bulk and compared with
a recount at the end, so that what is measured is a consistent database.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import asyncpg

SHARES: Final = (0.60, 0.25, 0.10, 0.04, 0.009, 0.001)
AGENTS: Final = 20
COMMON, FREQUENT, MEDIUM, RARE, ABSENT = "please", "invoice", "quasar", "zx4711", "nowhere"

_PARAGRAPHS = """
create temporary table paragraphs on commit drop as
select i, string_agg('w' || floor(4000 * power(random(), 3))::integer, ' ') as text
from generate_series(1, 5000) i cross join generate_series(1, 35) word
where i + word > 0
group by i
"""

_OWNERS = """
create temporary table owners on commit drop as
select given.*, array(select m.user_id from asoe.members m where m.org_id = given.org_id and m.role = 'agent') as agents
from unnest($1::uuid[], $2::uuid[], $3::double precision[], $4::double precision[]) given (org_id, client_id, low, high)
"""

# Most of what is open is young; words: please in half of all, invoice in 2 %, quasar in 0.1 %, zx4711 in a dozen.
_TICKETS = """
insert into public.support_tickets (org_id, user_id, category, severity, status, metadata, number, subject, body,
  contact_id, channel, language, intent, assignee, tags, created_at, updated_at, resolved_at, closed_at)
select org_id, case when who < $2::double precision / $1 then client_id end,
  (array['billing', 'technical', 'feature_request', 'bug_report', 'account', 'integration', 'performance', 'general'])
    [1 + floor(8 * power(what, 1.5))::integer],
  case when how < 0.03 then 'critical' when how < 0.2 then 'high' when how < 0.65 then 'medium' else 'low' end,
  status, '{}', row_number() over (partition by org_id order by rolled_i), 'Subject ' || left(text, 40),
  text || case when word < 0.5 then ' please' else '' end || case when word2 < 0.02 then ' invoice' else '' end
    || case when word3 < 0.001 then ' quasar' else '' end || case when rolled_i % ($1 / 12) = 7 then ' zx4711' else '' end,
  case when who >= 0.05 then md5(org_id::text || floor(who * $1 / 8)::text)::uuid end, 'api', 'en', 'how_to',
  case when hand < 0.4 then agents[1 + floor(hand / 0.4 * array_length(agents, 1))::integer] end,
  case when tag < 0.002 then array['vip'] when tag < 0.1 then array['follow-up'] else '{}' end,
  at, at + interval '1 hour',
  case when status in ('resolved', 'closed') then at + hand * interval '30 hours' end,
  case when status = 'closed' then at + interval '80 hours' end
from (
  select *, case
      when fate < p_open then (array['open', 'open', 'open', 'open', 'open', 'in_progress', 'in_progress', 'in_progress',
        'in_progress', 'triaging'])[1 + floor(fate / p_open * 10)::integer]
      when fate < p_open + 0.02 then 'escalated'
      when age > 0.95 then 'resolved' else 'closed' end as status
  from (
    select i as rolled_i, i::double precision / $1 as age, case when i > 0.97 * $1 then 0.6 else 0.005 end as p_open,
      now() - interval '700 days' * (1 - i::double precision / $1) as at,
      random() as which, random() as who, random() as what, random() as how, random() as hand, random() as tag,
      random() as fate, random() as word, random() as word2, random() as word3,
      1 + floor(5000 * random())::integer as paragraph
    from generate_series(1, $1) i
  ) rolled
  join paragraphs on paragraphs.i = rolled.paragraph
  join owners on rolled.which >= owners.low and rolled.which < owners.high
) made
"""


async def load(superuser_dsn: str, tickets: int) -> None:
    """Make the organizations and `tickets` tickets with a session and a first message each."""
    connection = await asyncpg.connect(superuser_dsn)
    try:
        await connection.execute("set maintenance_work_mem = '512MB'; set work_mem = '256MB'; select setseed(0.42)")
        async with connection.transaction():
            made = [await _organization(connection, number) for number in range(len(SHARES))]
            await connection.execute("set local session_replication_role = replica")
            indexes = await _drop_indexes(connection)
            await _fill(connection, tickets, made)
            for definition in indexes:
                await connection.execute(definition)
        await connection.execute("vacuum analyze")
        await _compare(connection, [org_id for org_id, _, _ in made])
    finally:
        await connection.close()


async def is_empty(owner_dsn: str) -> bool:
    connection = await asyncpg.connect(owner_dsn)
    try:
        return not await connection.fetchval("select exists (select 1 from public.support_tickets)")
    finally:
        await connection.close()


async def _organization(connection: Any, number: int) -> tuple[UUID, UUID, UUID]:
    slug = f"org-{number}"
    org_id = await connection.fetchval(
        "select org_id from asoe.create_organization($1, $1, $2, 'Cleo')", slug, f"cleo@{slug}.example"
    )
    accounts = []
    for role, count in (("agent", AGENTS), ("client", 1)):
        for index in range(count):
            account = await connection.fetchval(
                "insert into auth.users (email) values ($1) returning id", f"{role}{index}@{slug}.example"
            )
            await connection.execute("insert into public.user_organizations values ($1, $2)", account, org_id)
            await connection.execute(
                "insert into asoe.members (org_id, user_id, role, name) values ($1, $2, $3, $3)", org_id, account, role
            )
            accounts.append(account)
    return org_id, accounts[0], accounts[-1]


async def _fill(connection: Any, tickets: int, made: list[tuple[UUID, UUID, UUID]]) -> None:
    orgs = [org_id for org_id, _, _ in made]
    highs = [sum(SHARES[: index + 1]) for index in range(len(SHARES))]
    await connection.execute(_PARAGRAPHS)
    await connection.execute(_OWNERS, orgs, [client for _, _, client in made], [0.0, *highs[:-1]], [*highs[:-1], 1.0])
    # each client has about twenty tickets in the largest organization, whatever the size
    await connection.execute(_TICKETS, tickets, 33.0)
    await connection.execute(
        """
        insert into public.support_sessions (ticket_id, created_at, resolved, messages)
        select id, created_at, resolved_at is not null, '[]' from public.support_tickets
        """
    )
    await connection.execute(
        """
        insert into asoe.session_messages (org_id, session_id, ticket_id, seq, role, content, created_at)
        select t.org_id, s.id, t.id, 1, 'user', t.body, t.created_at
        from public.support_sessions s join public.support_tickets t on t.id = s.ticket_id
        """
    )
    await connection.execute(
        """
        insert into asoe.ticket_tally (org_id, category, status, tickets, resolved_timed, resolved_seconds)
        select org_id, category, status, count(*), count(resolved_at),
          coalesce(sum(extract(epoch from resolved_at - created_at)), 0)
        from public.support_tickets group by org_id, category, status
        """
    )
    for org_id in orgs:
        await connection.execute("select asoe.next_ticket_number($1)", org_id)
        await connection.execute(
            f"select setval('asoe.ticket_number_{org_id.hex}', (select coalesce(max(number), 0) + 1 from "
            "public.support_tickets where org_id = $1), false)",
            org_id,
        )


async def _drop_indexes(connection: Any) -> list[str]:
    """Indexes that nothing else leans on are made after the rows: five times as fast."""
    found = await connection.fetch(
        """
        select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
        where indrelid in ('public.support_tickets'::regclass, 'public.support_sessions'::regclass) and not indisunique
        """
    )
    for row in found:
        await connection.execute(f"drop index {row['name']}")
    return [row["definition"] for row in found]


async def _compare(connection: Any, orgs: list[UUID]) -> None:
    wrong = await connection.fetchval(
        """
        select count(*) from (
          select org_id, category, status, sum(tickets) as tickets, sum(resolved_timed) as timed
          from asoe.ticket_tally where org_id = any($1) group by 1, 2, 3
        ) tally full join (
          select org_id, category, status, count(*) as tickets, count(resolved_at) as timed
          from public.support_tickets where org_id = any($1) group by 1, 2, 3
        ) counted using (org_id, category, status)
        where tally.tickets is distinct from counted.tickets or tally.timed is distinct from counted.timed
        """,
        orgs,
    )
    if wrong:
        raise RuntimeError(f"the loaded tally differs from a recount in {wrong} places")
