-- name: lock
-- one ticket, one hand: whoever else advances it gives way
select pg_try_advisory_xact_lock(hashtextextended($1::text || ':' || $2::text, 0))

-- name: find
-- where a ticket stands
select stage, attempts, failures, seen_seq, due_at, data
from asoe.journeys
where org_id = $1 and ticket_id = $2

-- name: save
-- the journey's position is a row, written with what the step did
insert into asoe.journeys (org_id, ticket_id, stage, attempts, failures, seen_seq, due_at, data)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (org_id, ticket_id) do update set stage = excluded.stage, attempts = excluded.attempts,
  failures = excluded.failures, seen_seq = excluded.seen_seq, due_at = excluded.due_at, data = excluded.data,
  updated_at = clock_timestamp()

-- name: forgotten
-- open tickets that wait for nothing and that nobody has touched lately: their job was lost
select t.id
from public.support_tickets t
where t.org_id = $1 and t.status in ('open', 'triaging', 'in_progress') and t.waiting_for is null
  and not t.is_spam and t.updated_at < now() - make_interval(secs => $2)
order by t.updated_at
limit $3

-- name: due
-- timers that have run out, of every organization; ids and times only (asoe_system)
select org_id, ticket_id, due_at from asoe.system_due_timers($1)
