-- name: work
-- asoe_system
select org_id from asoe.system_incident_work($1)

-- name: hold_all
-- one at a time opens an incident of an organization, so that two never have one cause
select pg_advisory_xact_lock(hashtextextended($1::text, 160))

-- name: next_number
select coalesce(max(number), 0) + 1 from asoe.incidents where org_id = $1

-- name: insert
insert into asoe.incidents (org_id, number, title, source, status, keys, place, known, fix, slots, opened_by, opened_at, since,
  confirmed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
returning {columns}

-- name: find
select {columns} from asoe.incidents i where i.org_id = $1 and i.id = $2

-- name: find_by_number
select {columns} from asoe.incidents i where i.org_id = $1 and i.number = $2

-- name: find_for_update
select {columns} from asoe.incidents i where i.org_id = $1 and i.id = $2 for no key update

-- name: find_for_share
-- it does not end while a ticket is taken in
select {columns} from asoe.incidents i where i.org_id = $1 and i.id = $2 for share

-- name: going
-- those that have not ended, oldest first
select {columns} from asoe.incidents i where i.org_id = $1 and i.ended_at is null order by i.opened_at, i.id

-- name: some
-- those of a list, oldest first
select {columns} from asoe.incidents i where i.org_id = $1 and i.id = any ($2::uuid[]) order by i.opened_at, i.id

-- name: list_newest
-- $2: statuses, null for all; behind the number $3
select {columns} from asoe.incidents i
where i.org_id = $1 and ($2::text[] is null or i.status = any ($2)) and ($3::integer is null or i.number < $3)
order by i.number desc
limit $4

-- name: change
update asoe.incidents as i set title = $3, status = $4, keys = $5, place = $6, known = $7, fix = $8, slots = $9, run_id = $10,
  trouble = $11, since = $12, confirmed_at = $13, mended_at = $14, ended_at = $15
where i.org_id = $1 and i.id = $2
returning {columns}

-- name: sign
-- the newest counts
insert into asoe.incident_signs (org_id, ticket_id, key, client_key, run_id, at) values ($1, $2, $3, $4, $5, $6)
on conflict (org_id, ticket_id, key) do update set client_key = excluded.client_key, run_id = excluded.run_id, at = excluded.at

-- name: count_signs
-- clients, not tickets: nobody makes an incident alone
select count(distinct client_key) from asoe.incident_signs where org_id = $1 and key = $2 and at >= $3

-- name: signed_by
-- the runbooks whose runs gave a sign
select distinct b.name from asoe.incident_signs s
join asoe.runbook_runs r on r.org_id = s.org_id and r.id = s.run_id
join asoe.runbooks b on b.org_id = r.org_id and b.id = r.runbook_id
where s.org_id = $1 and s.key = any ($2::text[]) and s.at >= $3
order by 1

-- name: forget_signs
delete from asoe.incident_signs where org_id = $1 and at < $2

-- name: candidates
-- open tickets that belong to it and are not linked yet: by a sign of their runs, or by their intent. What a journey is at now comes to
-- it by itself; a ticket whose own check found nothing wrong is none of its intent's.
select t.id, min(found.key) as because
from (
  select s.ticket_id, s.key from asoe.incident_signs s
  where s.org_id = $1 and s.at >= $5 and (s.key = any ($3::text[]) or s.key like any ($4::text[]))
  union all
  select c.id, 'intent:' || c.intent from public.support_tickets c
  where c.org_id = $1 and cardinality($6::text[]) > 0 and c.intent = any ($6::text[]) and c.created_at >= $5
    and c.status in ('open', 'triaging', 'in_progress', 'escalated') and not exists (select from asoe.runbook_runs r
      where r.org_id = $1 and r.ticket_id = c.id and r.reason = 'already_met')
) found
join public.support_tickets t on t.org_id = $1 and t.id = found.ticket_id
join asoe.journeys j on j.org_id = $1 and j.ticket_id = t.id and j.stage in ('await_client', 'with_person')
  and not j.data ?| array['run', 'incident']
where t.status in ('open', 'triaging', 'in_progress', 'escalated') and not t.is_spam and t.merged_into is null
  and not exists (select from asoe.incident_tickets l where l.org_id = $1 and l.ticket_id = t.id
    and (l.incident_id = $2 or l.settled_at is null))
group by t.id
order by t.id
limit $7

-- name: link
-- once, and to one incident at a time
insert into asoe.incident_tickets (org_id, incident_id, ticket_id, client_key, because, linked_at)
values ($1, $2, $3, $4, $5, $6)
on conflict do nothing
returning ticket_id

-- name: notice
-- once for each client: whoever comes second gets no row and says nothing
insert into asoe.incident_notices (org_id, incident_id, kind, client_key, ticket_id, is_said, at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict do nothing
returning ticket_id

-- name: told_at
-- the ticket on which this client was told
select t.number from asoe.incident_notices n join public.support_tickets t on t.org_id = n.org_id and t.id = n.ticket_id
where n.org_id = $1 and n.incident_id = $2 and n.kind = $3 and n.client_key = $4

-- name: untold
-- tickets linked up to $4 whose client has not heard $3
select l.ticket_id, l.client_key from asoe.incident_tickets l
where l.org_id = $1 and l.incident_id = $2 and l.settled_at is null and l.linked_at <= $4 and not exists (
  select from asoe.incident_notices n
  where n.org_id = $1 and n.incident_id = $2 and n.kind = $3 and n.client_key = l.client_key)
order by l.linked_at, l.ticket_id
limit $5

-- name: add_update
insert into asoe.incident_updates (org_id, incident_id, number, content, author, at)
select $1, $2, coalesce(max(u.number), 0) + 1, $3, $4, $5
from asoe.incident_updates u where u.org_id = $1 and u.incident_id = $2
returning number

-- name: updates
select number, content, author, at from asoe.incident_updates where org_id = $1 and incident_id = $2 order by number

-- name: pending
-- tickets that are not settled; $3: only those that nobody checks yet
select l.ticket_id from asoe.incident_tickets l
left join asoe.journeys j on j.org_id = l.org_id and j.ticket_id = l.ticket_id
where l.org_id = $1 and l.incident_id = $2 and l.settled_at is null
  and (not $3::boolean or coalesce(j.data #>> '{incident,checked}', '') = '')
order by l.linked_at, l.ticket_id
limit $4

-- name: settle
update asoe.incident_tickets set outcome = $4, reason = $5, run_id = $6, settled_at = $7
where org_id = $1 and incident_id = $2 and ticket_id = $3 and settled_at is null
returning ticket_id

-- name: settle_gone
-- tickets that ended in another way, or are none any more
update asoe.incident_tickets as l set outcome = 'left', reason = t.status, settled_at = $3
from public.support_tickets t
where l.org_id = $1 and l.incident_id = $2 and l.settled_at is null and t.org_id = l.org_id and t.id = l.ticket_id
  and (t.status in ('resolved', 'closed') or t.is_spam or t.merged_into is not null)

-- name: of_ticket
-- the incidents a ticket is or was part of, newest first
select i.id, i.number, i.title, i.status, l.outcome, l.reason, l.linked_at
from asoe.incident_tickets l join asoe.incidents i on i.org_id = l.org_id and i.id = l.incident_id
where l.org_id = $1 and l.ticket_id = $2
order by l.linked_at desc

-- name: tickets_of
-- newest first, behind the ticket $3
select l.ticket_id, t.number, t.subject, t.status, l.client_key, l.because, l.linked_at, l.outcome, l.reason, l.run_id, l.settled_at,
  n.at as told_at
from asoe.incident_tickets l
join public.support_tickets t on t.org_id = l.org_id and t.id = l.ticket_id
left join asoe.incident_notices n on n.org_id = l.org_id and n.incident_id = l.incident_id and n.kind = 'known'
  and n.client_key = l.client_key
where l.org_id = $1 and l.incident_id = $2 and ($3::uuid is null or (l.linked_at, l.ticket_id) < (
  select b.linked_at, b.ticket_id from asoe.incident_tickets b where b.org_id = $1 and b.incident_id = $2 and b.ticket_id = $3))
order by l.linked_at desc, l.ticket_id desc
limit $4

-- name: counts
select i.id, count(l.ticket_id) as tickets, count(distinct l.client_key) as clients,
  count(*) filter (where l.outcome = 'mended') as mended, count(*) filter (where l.outcome = 'broken') as broken,
  count(*) filter (where l.outcome = 'left') as gone, count(*) filter (where l.ticket_id is not null and l.outcome is null) as waiting,
  (select count(*) from asoe.incident_notices n where n.org_id = $1 and n.incident_id = i.id and n.kind = 'known') as told
from unnest($2::uuid[]) as i (id)
left join asoe.incident_tickets l on l.org_id = $1 and l.incident_id = i.id
group by i.id

-- name: timeline
-- what happened to the incident itself; what happened to its tickets is counted
select id, kind, at, ticket_id, session_id, actor, data, xid::text::bigint as xid
from asoe.facts
where org_id = $1 and data ? 'incident_id' and data ->> 'incident_id' = $2::text and ticket_id is null
order by id
limit $3
