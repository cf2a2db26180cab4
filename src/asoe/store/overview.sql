-- name: report
-- what became of the newest $3 tickets that came in since $2; $4 names what a dossier must hold. What a person did leaves a
-- fact on the ticket (asoe.desk.ticket, asoe.desk.session)
with recent as (
  select t.id, t.status, t.waiting_for, t.resolution ->> 'verdict' as verdict
  from public.support_tickets t
  where t.org_id = $1 and t.created_at >= $2 and not t.is_spam and t.merged_into is null and t.channel <> 'import'
  order by t.created_at desc, t.id desc
  limit $3
), judged as (
  select r.verdict, r.status in ('resolved', 'closed') or r.waiting_for is not null as rests,
    e.is_whole is not null as was_given, coalesce(e.is_whole, false) as is_whole,
    exists (select 1 from asoe.facts f where f.org_id = $1 and f.ticket_id = r.id
      and f.kind in ('ticket.escalated', 'session.taken_over', 'ticket.moved', 'ticket.assigned')) as is_touched
  from recent r
  left join lateral (
    select not exists (select 1 from unnest($4::text[]) field
      where coalesce(x.dossier -> field, 'null') in ('null', '""', '[]', '{}')) as is_whole
    from asoe.escalations x where x.org_id = $1 and x.ticket_id = r.id order by x.created_at desc limit 1
  ) e on true
)
select count(*) as tickets, count(*) filter (where rests) as resting,
  count(*) filter (where rests and (not was_given or is_whole)) as handled,
  count(*) filter (where rests and not is_touched) as contained,
  count(*) filter (where rests and verdict = 'verified') as verified
from judged

-- name: open_by_age
-- the not ended, by severity and by the hours they are open; at most $3 are looked at
select severity, width_bucket(extract(epoch from $2 - created_at) / 3600, array[4, 24, 72]::float8[]) as age, count(*) as tickets
from (
  select t.severity, t.created_at from public.support_tickets t
  where t.org_id = $1 and t.status in ('open', 'triaging', 'in_progress', 'escalated') and not t.is_spam
  limit $3
) waiting
group by severity, age

-- name: newest
select id, kind, at, ticket_id, session_id, actor, data, xid::text::bigint as xid
from asoe.facts where org_id = $1 order by id desc limit $2

-- name: numbers
select t.id, t.number, t.subject from public.support_tickets t where t.org_id = $1 and t.id = any ($2::uuid[])

-- name: engine_since
-- what the engine did since $2, and why it gave tickets away, among the newest $4 facts
with newest as (
  select kind, at, actor, data from asoe.facts where org_id = $1 order by id desc limit $4
), mine as (
  select kind, data from newest where at >= $2 and actor = $3
)
select kind, null as reason, count(*) as times from mine group by kind
union all
select 'reason', reason, count(*) from mine, jsonb_array_elements_text(
    case when jsonb_typeof(data -> 'reasons') = 'array' then data -> 'reasons' else '[]' end) reason
where kind = 'ticket.escalated'
group by reason
order by 3 desc
