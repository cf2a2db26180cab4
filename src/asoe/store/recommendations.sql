-- name: hold
-- one look at a time for an organization
select pg_advisory_xact_lock(hashtextextended('recommendations:' || $1, 175))

-- name: looked_at
select looked_at from asoe.recommendation_looks where org_id = $1

-- name: has_any
select exists (select from asoe.recommendations where org_id = $1)

-- name: set_looked
insert into asoe.recommendation_looks (org_id, looked_at) values ($1, $2)
on conflict (org_id) do update set looked_at = excluded.looked_at

-- name: all_known
select id, number, kind, key, status, weight, clients, detail, gain, tickets, vector, first_seen_at, seen_at, decided_at,
  decided_by, decided_weight, reason, outcome
from asoe.recommendations where org_id = $1 order by number

-- name: listed
-- $2: statuses; those on most cases first
select id, number, kind, key, status, weight, clients, detail, gain, tickets, vector, first_seen_at, seen_at, decided_at,
  decided_by, decided_weight, reason, outcome
from asoe.recommendations where org_id = $1 and status = any ($2::text[])
order by coalesce((gain ->> 'expected')::numeric, 0) desc, weight desc, number limit $3

-- name: held
select id, number, kind, key, status, weight, clients, detail, gain, tickets, vector, first_seen_at, seen_at, decided_at,
  decided_by, decided_weight, reason, outcome
from asoe.recommendations where org_id = $1 and number = $2 for update

-- name: add
-- what is said again after it was removed takes a number of its own
insert into asoe.recommendations (org_id, number, kind, key, weight, clients, detail, gain, tickets, vector, first_seen_at, seen_at)
values ($1, (select coalesce(max(number), 0) + 1 from asoe.recommendations where org_id = $1), $2, $3, $4, $5, $6, $7, $8, $9,
  $10, $10)
on conflict (org_id, kind, key) do nothing

-- name: save
update asoe.recommendations set status = $3, weight = $4, clients = $5, detail = $6, gain = $7, tickets = $8, vector = $9,
  seen_at = $10, decided_at = $11, decided_by = $12, decided_weight = $13, reason = $14, outcome = $15
where org_id = $1 and id = $2

-- name: forget
-- what nobody decided on and nobody has seen for long
delete from asoe.recommendations where org_id = $1 and status = 'gone' and decided_at is null and seen_at < $2

-- name: ticket_lines
select id, number, subject from public.support_tickets
where org_id = $1 and id = any ($2::uuid[]) order by created_at desc, id

-- name: words_of_people
-- what people wrote on these tickets, oldest first, notes included; clients never see it
select m.ticket_id, m.content, m.is_internal from asoe.session_messages m
where m.org_id = $1 and m.ticket_id = any ($2::uuid[]) and m.role = 'agent' and m.content <> '[erased]'
order by m.created_at, m.id limit 30

-- name: settled_by_people
-- tickets that people resolved, without a run that did anything: what they said last, and the facts they left, in order. Looked for
-- among the $5 newest that people replied to, so that it takes no longer when there are more
with replied as materialized (
  select i.ticket_id from asoe.insight_tickets i
  where i.org_id = $1 and i.is_counted and i.day >= (($2::timestamptz - interval '30 days') at time zone 'utc')::date and i.by_people = 1
  order by i.day desc limit $5
), settled as materialized (
  select t.org_id, t.id, t.resolved_at, t.intent, t.category, t.contact_id, t.user_id
  from replied r join public.support_tickets t on t.org_id = $1 and t.id = r.ticket_id
  where t.resolved_at >= $2 and t.status in ('resolved', 'closed') and t.body <> '[erased]'
    and not exists (select from asoe.runbook_runs r join asoe.run_actions a on a.org_id = r.org_id and a.run_id = r.id
      where r.org_id = t.org_id and r.ticket_id = t.id and r.mode = 'live' and a.status in ('done', 'unknown'))
  order by t.resolved_at desc, t.id limit $4
)
select t.id, t.resolved_at as at, coalesce(t.intent, '') as intent, t.category,
  coalesce('contact:' || t.contact_id, 'user:' || t.user_id, 'ticket:' || t.id) as client, said.words,
  array(select f.kind from asoe.facts f join asoe.members m on m.org_id = f.org_id and m.user_id = f.actor and m.kind = 'person'
    where f.org_id = t.org_id and f.ticket_id = t.id and f.kind = any ($3::text[]) order by f.id) as steps
from settled t
cross join lateral (
  select m.content as words from asoe.session_messages m
  where m.org_id = t.org_id and m.ticket_id = t.id and m.role = 'agent' and not m.is_internal order by m.created_at desc, m.id limit 1
) said
order by t.resolved_at desc, t.id

-- name: agreed
-- acts of runbooks that people agreed to, newest first
select r.runbook_id, a.decided_at as at, r.ticket_id
from asoe.approvals a join asoe.runbook_runs r on r.org_id = a.org_id and r.id = a.run_id
where a.org_id = $1 and a.decided_at >= $2 and a.status in ('approved', 'used') and r.mode = 'live'
order by a.decided_at desc limit $3

-- name: alone
-- runs of the versions in use that acted alone, newest first, and whether something was wrong with each
select r.runbook_id, r.ended_at as at, r.ticket_id,
  coalesce(j.is_wrong, false) or r.status = 'failed' or coalesce(r.reason, '') in ('effect_unknown', 'verification_failed')
    as is_wrong
from asoe.runbook_runs r
join asoe.runbooks b on b.org_id = r.org_id and b.id = r.runbook_id
left join lateral (
  select not coalesce(bool_and(j.is_right) filter (where j.source in ('audit', 'person')), bool_and(j.is_right)) as is_wrong
  from asoe.run_judgements j where j.org_id = r.org_id and j.run_id = r.id
) j on true
where r.org_id = $1 and r.mode = 'live' and r.ended_at >= $2 and (b.published_version is null or r.version = b.published_version)
  and exists (select from asoe.run_actions a where a.org_id = r.org_id and a.run_id = r.id
    and a.approval_id is null and not a.is_undo and a.status in ('done', 'undone', 'unknown'))
order by r.ended_at desc limit $3

-- name: in_use
-- runbooks in use, with the gravest risk of what they did since
select b.id, b.name, b.title, (select a.risk from asoe.run_actions a join asoe.runbook_runs r on r.org_id = a.org_id and r.id = a.run_id
    where a.org_id = b.org_id and r.runbook_id = b.id and not a.is_undo and a.intended_at >= $2
    order by array_position(array['irreversible', 'costly', 'reversible'], a.risk) limit 1) as risk
from asoe.runbooks b where b.org_id = $1 and b.published_version is not null and b.retired_at is null order by b.name

-- name: unanswered_runs
-- runs that ended because a system did not answer as it should: the connector of their last failed read, else of an act in doubt
select x.connector, r.ended_at as at, r.ticket_id, r.reason
from asoe.runbook_runs r
cross join lateral (
  select f.connector from (
    (select s.connector, 1 as place from asoe.run_steps s where s.org_id = r.org_id and s.run_id = r.id and s.kind = 'observe'
      and s.told ->> 'error' is not null and s.told ->> 'is_missing' is distinct from 'true' order by s.seq desc limit 1)
    union all
    (select a.connector, 2 from asoe.run_actions a where a.org_id = r.org_id and a.run_id = r.id and not a.is_undo
      and (a.status = 'unknown' or a.reason = 'connector_down') order by a.seq desc limit 1)
  ) f order by f.place limit 1
) x
where r.org_id = $1 and r.mode = 'live' and r.ended_at >= $2 and r.status in ('escalated', 'failed') and x.connector is not null
order by r.ended_at desc limit $3

-- name: uneasy
-- tickets after which a client may leave, newest first: it came back, was opened again, the answer did not help, or it was angry
select i.client, t.id as ticket_id, t.created_at as at, i.repeated = 1 as came_back, i.reopened = 1 as was_reopened,
  i.rated = 1 and i.helped = 0 as did_not_help, i.reasons && array['anger', 'threat', 'legal'] as was_angry
from asoe.insight_tickets i join public.support_tickets t on t.org_id = i.org_id and t.id = i.ticket_id
where i.org_id = $1 and i.day >= $2::date and i.is_counted and i.client is not null and t.created_at >= $3
  and (i.repeated = 1 or i.reopened = 1 or (i.rated = 1 and i.helped = 0) or i.reasons && array['anger', 'threat', 'legal'])
order by t.created_at desc limit $4

-- name: helped_by_answers
-- of the newest $3 tickets that the engine answered and that rest: how many needed nobody
select count(*) filter (where contained = 1) as hits, count(*) as total from (
  select i.contained from asoe.insight_tickets i
  where i.org_id = $1 and i.day >= $2::date and i.is_counted and i.resting = 1 and exists (select from asoe.facts f
    where f.org_id = i.org_id and f.ticket_id = i.ticket_id and f.kind = 'ticket.answered')
  order by i.day desc limit $3
) answered

-- name: verified_runs
select count(*) filter (where r.status = 'verified') as hits, count(*) as total
from asoe.runbook_runs r where r.org_id = $1 and r.mode = 'live' and r.ended_at >= $2
