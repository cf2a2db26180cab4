-- name: work
-- what waits to be counted, of every organization; ids and times only (asoe_system)
select org_id, ticket_id, due_at from asoe.system_service_work($1, $2)

-- name: watch
-- an organization is watched from its first service level on
insert into asoe.service_watches (org_id, xid) values ($1, pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
on conflict do nothing

-- name: cursor
select xid, fact_id from asoe.service_watches where org_id = $1

-- name: move
-- forwards only: another reader may have come further
update asoe.service_watches set xid = $2, fact_id = $3 where org_id = $1 and (xid, fact_id) < ($2, $3)

-- name: read_on
-- the next facts in commit-safe order; those of the kinds $4 name their tickets
with following as (
  select f.id, f.xid, f.kind, f.ticket_id from asoe.facts f
  where f.org_id = $1 and (f.xid, f.id) > ($2::text::xid8, $3) and f.xid < pg_snapshot_xmin(pg_current_snapshot())
  order by f.xid, f.id limit $5
)
select count(*) as facts, array_agg(distinct ticket_id) filter (where kind = any ($4::text[]) and ticket_id is not null) as tickets,
  (select f.xid::text::bigint from following f order by f.xid desc, f.id desc limit 1) as xid,
  (select f.id from following f order by f.xid desc, f.id desc limit 1) as fact_id
from following

-- name: standing
-- held by the ticket's own advisory lock, so that nothing is said twice
select t.created_at, t.severity, t.team, t.assignee, p.settings,
  not t.is_spam and t.merged_into is null and t.channel <> 'import' as is_counted,
  (select c.plan from asoe.contacts c where c.org_id = t.org_id and (c.id = t.contact_id or c.user_id = t.user_id)
    order by c.id = t.contact_id desc limit 1) as plan
from public.support_tickets t join asoe.organization_profiles p on p.org_id = t.org_id,
  lateral (select pg_advisory_xact_lock(hashtextextended(t.id::text, 130))) held
where t.org_id = $1 and t.id = $2

-- name: moments
select id, kind, at, ticket_id, session_id, actor, data, xid::text::bigint as xid
from asoe.facts
where org_id = $1 and ticket_id = $2 and kind = any ($3::text[])
order by id

-- name: clocks
select kind, started_at, target, used, since, due_at, warn_at, met_at, breached_at, warned_at, told_at
from asoe.service_clocks where org_id = $1 and ticket_id = $2
order by started_at, kind

-- name: save
insert into asoe.service_clocks (org_id, ticket_id, kind, started_at, target, used, since, due_at, warn_at, met_at,
  breached_at, warned_at, told_at, next_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (org_id, ticket_id, kind, started_at) do update set target = excluded.target, used = excluded.used,
  since = excluded.since, due_at = excluded.due_at, warn_at = excluded.warn_at, met_at = excluded.met_at,
  breached_at = excluded.breached_at, warned_at = excluded.warned_at, told_at = excluded.told_at, next_at = excluded.next_at

-- name: drop
delete from asoe.service_clocks where org_id = $1 and ticket_id = $2 and kind = $3 and started_at = $4

-- name: nearest
select distinct on (ticket_id) ticket_id, kind, started_at, target, used, since, due_at, warn_at, met_at, breached_at,
  warned_at, told_at
from asoe.service_clocks
where org_id = $1 and ticket_id = any ($2::uuid[]) and met_at is null
order by ticket_id, breached_at is null, due_at nulls last, kind

-- name: at_risk
select ticket_id, kind, started_at, target, used, since, due_at, warn_at, met_at, breached_at, warned_at, told_at
from asoe.service_clocks
where org_id = $1 and met_at is null and due_at is not null and (breached_at is not null or warn_at <= $2)
order by due_at limit $3

-- name: count_at_risk
select count(distinct ticket_id) filter (where not is_breached) as warned,
  count(distinct ticket_id) filter (where is_breached) as breached
from (
  select ticket_id, bool_or(breached_at is not null) over (partition by ticket_id) as is_breached
  from (select ticket_id, breached_at from asoe.service_clocks
    where org_id = $1 and met_at is null and due_at is not null and (breached_at is not null or warn_at <= $2)
    order by due_at limit $3) pressing
) each

-- name: kept
select kind, count(*) as due, count(*) filter (where breached_at is null) as kept
from asoe.service_clocks
where org_id = $1 and coalesce(breached_at, met_at) >= $2
group by kind order by kind

-- name: recount
update asoe.service_clocks set next_at = $2 where org_id = $1 and met_at is null
