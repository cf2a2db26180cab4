-- name: lock
-- one ticket, one hand: whoever else advances it gives way
select pg_try_advisory_xact_lock(hashtextextended($1::text || ':' || $2::text, 0))

-- name: find
-- where a ticket stands
select stage, attempts, failures, seen_seq, due_at, data
from asoe.journeys
where org_id = $1 and ticket_id = $2

-- name: standing
-- the ticket, where it stands and by which settings it is handled, in one round trip
select {columns}, j.stage as journey_stage, j.attempts as journey_attempts, j.failures as journey_failures,
  j.seen_seq as journey_seen_seq, j.due_at as journey_due_at, j.data as journey_data, p.settings,
  exists (select from asoe.service_clocks c where c.org_id = t.org_id and c.ticket_id = t.id and c.met_at is null
    and c.due_at is not null and (c.breached_at is not null or c.warn_at <= now())) as is_late,
  exists (select from asoe.incidents i where i.org_id = t.org_id and i.ended_at is null) as has_incidents
from public.support_tickets t
left join asoe.journeys j on j.org_id = t.org_id and j.ticket_id = t.id
left join asoe.organization_profiles p on p.org_id = t.org_id
where t.org_id = $1 and t.id = $2

-- name: hold
-- the ticket's advisory lock and its row, so that people who write at this moment come before or after
select pg_try_advisory_xact_lock(hashtextextended($1::text || ':' || $2::text, 0)) as is_mine, t.version
from public.support_tickets t where t.org_id = $1::text::uuid and t.id = $2::text::uuid for no key update of t

-- name: hold_sessions
-- whoever is about to say something here does it before or after: by the lock that gives a message its seq, and never by the row, which
-- its writer takes only after that
select pg_advisory_xact_lock(hashtextextended(s.id::text, 2))
from (select id from public.support_sessions where ticket_id = $1 order by id offset 0) s

-- name: recheck
-- where a held ticket stands now, and whether anything was said on it that its reader has not read
select j.stage, j.attempts, j.failures, j.seen_seq, j.due_at, j.data, exists (
  select from asoe.session_messages m
  where m.org_id = $1 and m.ticket_id = $2 and not m.is_internal
    and m.seq > coalesce(($3::jsonb ->> m.session_id::text)::int, 0)) as is_said
from (select $1::uuid as org_id, $2::uuid as ticket_id) held
left join asoe.journeys j on j.org_id = held.org_id and j.ticket_id = held.ticket_id

-- name: save
-- the journey's position is a row, written with what the step did
insert into asoe.journeys (org_id, ticket_id, stage, attempts, failures, seen_seq, due_at, data)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (org_id, ticket_id) do update set stage = excluded.stage, attempts = excluded.attempts,
  failures = excluded.failures, seen_seq = excluded.seen_seq, due_at = excluded.due_at, data = excluded.data,
  updated_at = clock_timestamp()

-- name: place
-- a person's act puts the journey somewhere; with $5 everything said so far is known to whoever acted
insert into asoe.journeys as j (org_id, ticket_id, stage, due_at, data)
values ($1, $2, $3, $4, case when $5 then jsonb_build_object('seen', (select coalesce(jsonb_object_agg(said.session_id, said.last), '{}')
  from (select m.session_id, max(m.seq) as last from asoe.session_messages m
    where m.org_id = $1 and m.ticket_id = $2 group by m.session_id) said)) else '{}' end)
on conflict (org_id, ticket_id) do update set stage = excluded.stage, due_at = excluded.due_at, failures = 0,
  data = j.data || excluded.data, updated_at = clock_timestamp()

-- name: rest
-- a timer that finds nothing to do is not asked again
update asoe.journeys set due_at = null, updated_at = clock_timestamp()
where org_id = $1 and ticket_id = $2 and due_at = $3

-- name: forgotten
-- open tickets that nobody has touched lately and that wait for nothing, or whose client was not heard: their job was lost
select t.id
from public.support_tickets t left join asoe.journeys j on j.org_id = t.org_id and j.ticket_id = t.id
where t.org_id = $1 and t.status in ('open', 'triaging', 'in_progress') and not t.is_spam
  and t.updated_at < now() - make_interval(secs => $2)
  and (t.waiting_for is null or (t.waiting_for = 'client' and exists (
    select from asoe.session_messages m
    where m.org_id = t.org_id and m.ticket_id = t.id and m.role = 'user' and not m.is_internal
      and m.created_at > greatest(t.updated_at, j.updated_at) and m.created_at < now() - make_interval(secs => $2))))
order by t.updated_at
limit $3

-- name: due
-- timers that have run out, of every organization; ids and times only (asoe_system)
select org_id, ticket_id, due_at from asoe.system_due_timers($1)
