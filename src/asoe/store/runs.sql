-- name: start
-- one ticket, one hand: no row when a live run of this ticket goes on. With its fact.
with started as (
  insert into asoe.runbook_runs (org_id, runbook_id, version, ticket_id, client_key, mode, slots, environment, initiator)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
  on conflict (org_id, ticket_id) where mode = 'live' and ended_at is null do nothing
  returning org_id, id, ticket_id, runbook_id, version, mode
), noted as (
  insert into asoe.facts (org_id, kind, ticket_id, actor, data)
  select org_id, 'run.started', ticket_id, $10,
    jsonb_build_object('run_id', id, 'runbook_id', runbook_id, 'version', version, 'mode', mode)
  from started
)
select id from started

-- name: client_of
-- who is behind a ticket: the contact, else the account
select t.contact_id, t.user_id, coalesce(c.email, m.email) as email, c.phone, c.external_id,
  coalesce(nullif(c.name, ''), m.name, '') as name
from public.support_tickets t
left join asoe.contacts c on c.org_id = t.org_id and c.id = t.contact_id
left join asoe.members m on m.org_id = t.org_id and m.user_id = t.user_id
where t.org_id = $1 and t.id = $2

-- name: claim
-- this pass has the run until its lease is over, by the database's clock; no row when another has it or nothing is due.
-- What was waited for people does not count towards the run's timeout.
with before as materialized (
  select status, waiting_for, due_at from asoe.runbook_runs where org_id = $1 and id = $2 for no key update
)
update asoe.runbook_runs r set held_by = $3, held_until = clock_timestamp() + $4::interval, status = 'running',
  started_at = coalesce(r.started_at, clock_timestamp()), due_at = null, waiting_for = null, waiting_since = null,
  waited = r.waited + case when r.waiting_for in ('client', 'approval')
    then greatest(clock_timestamp() - r.waiting_since, '0') else '0' end
from before
where r.org_id = $1 and r.id = $2 and r.ended_at is null and (r.held_by is null or r.held_until <= clock_timestamp())
  and (r.status <> 'waiting' or r.waiting_for in ('client', 'approval') or r.due_at <= clock_timestamp()
    or r.cancel_requested_at is not null)
returning {columns}, before.status as was, before.waiting_for as was_waiting_for, before.due_at as was_due_at,
  clock_timestamp() as now, clock_timestamp() - r.started_at - r.waited as age

-- name: find
select {columns} from asoe.runbook_runs r where r.org_id = $1 and r.id = $2

-- name: going
-- the live run that goes on for a ticket
select {columns} from asoe.runbook_runs r where r.org_id = $1 and r.ticket_id = $2 and r.mode = 'live' and r.ended_at is null

-- name: list
-- newest first; each filter null: all
select {columns} from asoe.runbook_runs r
where r.org_id = $1 and ($2::uuid is null or r.ticket_id = $2) and ($3::uuid is null or r.runbook_id = $3)
  and ($4::text is null or r.status = $4) and ($5::timestamptz is null or r.created_at < $5)
order by r.created_at desc
limit $6

-- name: steps
-- what a run has read, asked and waited for, in order
select seq, path, kind, connector, action, arguments, told, is_final, at
from asoe.run_steps where org_id = $1 and run_id = $2 order by seq

-- name: questions_of_ticket
-- how many questions its runs have put to a ticket's client; one that was repeated counts once
select count(*) from asoe.run_steps s join asoe.runbook_runs r on r.org_id = s.org_id and r.id = s.run_id
where s.org_id = $1 and r.ticket_id = $2 and s.kind = 'inquire' and s.arguments ? 'is_asked'

-- name: steps_of
-- the same of several runs
select run_id, seq, path, kind, connector, action, arguments, told, is_final, at
from asoe.run_steps where org_id = $1 and run_id = any ($2::uuid[]) order by run_id, seq

-- name: actions
-- what a run meant to do, and what became of it, in order
select id, seq, path, connector, action, risk, arguments, idempotency_key, business_key, amount, unit, is_undo, status,
  attempts, value, reason, error, approval_id, intended_at, claimed_until, ended_at
from asoe.run_actions where org_id = $1 and run_id = $2 order by seq

-- name: actions_of
-- the same of several runs
select run_id, id, seq, path, connector, action, risk, arguments, idempotency_key, business_key, amount, unit, is_undo, status,
  attempts, value, reason, error, approval_id, intended_at, claimed_until, ended_at
from asoe.run_actions where org_id = $1 and run_id = any ($2::uuid[]) order by run_id, seq

-- name: gate
-- all that must hold before an act, and what decides whether it may be done alone, in one round trip (`took`: it may
-- have waited for the lock, and then saw things as they were before). The lock comes before the row: whoever holds the row never waits
-- for the lock, so nobody waits for both.
with mine as materialized (
  select pg_advisory_xact_lock(hashtextextended($1::text || ':' || $4::text, 0))
), ticket as materialized (
  select t.id, t.status, t.severity, t.assignee, t.waiting_for, t.is_spam, t.merged_into
  from public.support_tickets t, mine where t.org_id = $1::text::uuid and t.id = $4::text::uuid for no key update of t
)
select r.held_by = $3 and r.held_until > clock_timestamp() as is_held, r.held_until < clock_timestamp() + $5::interval as is_short,
  r.cancel_requested_at is not null as is_cancelled, s.reason as stopped,
  t.status, t.severity, t.assignee, t.waiting_for, t.is_spam, t.merged_into is not null as is_merged,
  t.id is not null and exists (
    select from public.support_sessions q where q.ticket_id = t.id and q.assistant_type <> 'ai') as is_ai_quiet,
  clock_timestamp() as now, clock_timestamp() - r.started_at - r.waited as age, nullif(b.published_version, r.version) as newer,
  clock_timestamp() - statement_timestamp() as took, {decides}
from asoe.runbook_runs r
{deciding}
left join ticket t on true
left join asoe.emergency_stops s on s.org_id = r.org_id and s.released_at is null
where r.org_id = $1::text::uuid and r.id = $2

-- name: gate_alone
-- the same for a run without a ticket
select r.held_by = $3 and r.held_until > clock_timestamp() as is_held, r.held_until < clock_timestamp() + $4::interval as is_short,
  r.cancel_requested_at is not null as is_cancelled, s.reason as stopped,
  clock_timestamp() as now, clock_timestamp() - r.started_at - r.waited as age, nullif(b.published_version, r.version) as newer,
  clock_timestamp() - statement_timestamp() as took, {decides}
from asoe.runbook_runs r
{deciding}
left join asoe.emergency_stops s on s.org_id = r.org_id and s.released_at is null
where r.org_id = $1 and r.id = $2

-- name: renew
-- the lease of a pass that still has the run
update asoe.runbook_runs set held_until = clock_timestamp() + $4::interval
where org_id = $1 and id = $2 and held_by = $3 and held_until > clock_timestamp() and ended_at is null
returning cancel_requested_at is not null as is_cancelled, clock_timestamp() as now, clock_timestamp() - started_at - waited as age

-- name: keep_steps
-- $3: a list of {seq, path, kind, connector, action, arguments, told, is_final}; what was waited for gets its answer
insert into asoe.run_steps (org_id, run_id, seq, path, kind, connector, action, arguments, told, is_final)
select $1, $2, s.seq, s.path, s.kind, s.connector, s.action, s.arguments, s.told, s.is_final
from jsonb_to_recordset($3::jsonb) as s (seq integer, path text, kind text, connector text, action text, arguments jsonb,
  told jsonb, is_final boolean)
on conflict (org_id, run_id, path) do update set told = excluded.told

-- name: intend
-- the intent of an act; no row when its path or its business key is taken
insert into asoe.run_actions (org_id, run_id, seq, path, connector, action, risk, arguments, idempotency_key, business_key,
  amount, unit, client_key, is_undo, status, attempts, approval_id, claimed_until, reason, error, ended_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, case when $15 = 'intended' then 1 else 0 end, $16,
  clock_timestamp() + $17::interval, $18, $19, case when $15 <> 'intended' then clock_timestamp() end)
on conflict do nothing
returning id, claimed_until

-- name: intend_after
-- likewise, with the steps read since the last act in $20
with kept as (
  insert into asoe.run_steps (org_id, run_id, seq, path, kind, connector, action, arguments, told, is_final)
  select $1, $2, s.seq, s.path, s.kind, s.connector, s.action, s.arguments, s.told, s.is_final
  from jsonb_to_recordset($20::jsonb) as s (seq integer, path text, kind text, connector text, action text, arguments jsonb,
    told jsonb, is_final boolean)
  on conflict (org_id, run_id, path) do update set told = excluded.told
)
insert into asoe.run_actions (org_id, run_id, seq, path, connector, action, risk, arguments, idempotency_key, business_key,
  amount, unit, client_key, is_undo, status, attempts, approval_id, claimed_until, reason, error, ended_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, case when $15 = 'intended' then 1 else 0 end, $16,
  clock_timestamp() + $17::interval, $18, $19, case when $15 <> 'intended' then clock_timestamp() end)
on conflict do nothing
returning id, claimed_until

-- name: holder
-- who has this business key
select run_id, path, status, claimed_until, clock_timestamp() as now from asoe.run_actions
where org_id = $1 and connector = $2 and action = $3 and held_key = $4

-- name: act_again
-- a further attempt at the same intent, under the same key
update asoe.run_actions set attempts = attempts + 1, claimed_until = clock_timestamp() + $4::interval
where org_id = $1 and run_id = $2 and id = $3 and status = 'intended'
returning claimed_until

-- name: settle
-- what became of an intent, once, and the fact of it
with settled as (
  update asoe.run_actions set status = $4, value = $5, reason = $6, error = $7, ended_at = clock_timestamp(), claimed_until = null
  where org_id = $1 and run_id = $2 and id = $3 and status = 'intended'
  returning run_id
)
insert into asoe.facts (org_id, kind, ticket_id, actor, data) select $1, 'run.acted', $8, $9, $10 from settled

-- name: mark_undone
-- what an undo that worked took back
update asoe.run_actions set status = 'undone' where org_id = $1 and run_id = $2 and path = $3 and status = 'done'

-- name: hold_caps
-- acts under one cap are counted one after the other
select pg_advisory_xact_lock(hashtextextended($1, 1))

-- name: acted_by_action
-- acts that count towards a cap on an action: done, under way, or nobody knows
select count(*) as acts, coalesce(sum(a.amount) filter (where a.unit is not distinct from $7), 0) as total
from asoe.run_actions a
where a.org_id = $1 and a.connector = $2 and a.action = $3 and a.status in ('intended', 'done', 'unknown') and not a.is_undo
  and a.intended_at > now() - $6::interval
  and ($4::uuid is null or a.run_id = $4) and (not $8::boolean or a.client_key is not distinct from $5)

-- name: acted_by_runbook
-- likewise, of all acts in runs of a runbook
select count(*) as acts, coalesce(sum(a.amount) filter (where a.unit is not distinct from $6), 0) as total
from asoe.runbook_runs r join asoe.run_actions a on a.org_id = r.org_id and a.run_id = r.id
where r.org_id = $1 and r.runbook_id = $2 and a.status in ('intended', 'done', 'unknown') and not a.is_undo
  and a.intended_at > now() - $5::interval
  and ($3::uuid is null or a.run_id = $3) and (not $7::boolean or a.client_key is not distinct from $4)

-- name: wait
-- holds no process: an answer, an approval or the time wakes it; at once when it was cancelled or answered meanwhile
update asoe.runbook_runs set status = 'waiting', waiting_for = $4, waiting_since = clock_timestamp(),
  due_at = case when cancel_requested_at is not null or slots <> $6 then clock_timestamp() else $5 end,
  held_by = null, held_until = null
where org_id = $1 and id = $2 and held_by = $3 and ended_at is null
returning id

-- name: let_go
-- a pass that cannot go on, so that the next one need not wait
update asoe.runbook_runs set held_until = clock_timestamp()
where org_id = $1 and id = $2 and held_by = $3 and ended_at is null

-- name: end
-- with the steps read last and its fact. No intent outlives its run: one without outcome is in doubt, and then that is what
-- the run ends for.
with doubtful as (
  update asoe.run_actions a set status = 'unknown', reason = 'effect_unknown', ended_at = clock_timestamp(), claimed_until = null
  from asoe.runbook_runs r
  where r.org_id = $1 and r.id = $2 and r.held_by = $3 and r.ended_at is null
    and a.org_id = r.org_id and a.run_id = r.id and a.status = 'intended'
  returning a.id
), counted as (
  select count(*) as doubtful from doubtful
), ended as (
  update asoe.runbook_runs r set status = case when counted.doubtful > 0 then 'escalated' else $4 end,
    reason = case when counted.doubtful > 0 then 'effect_unknown' else $5 end, note = $6, ended_at_step = $7, evidence = $8,
    ended_at = clock_timestamp(), held_by = null, held_until = null, waiting_for = null, waiting_since = null, due_at = null
  from counted
  where r.org_id = $1 and r.id = $2 and r.held_by = $3 and r.ended_at is null
  returning r.org_id, r.id, r.ticket_id, r.runbook_id, r.mode, r.status, r.reason, counted.doubtful
), kept as (
  insert into asoe.run_steps (org_id, run_id, seq, path, kind, connector, action, arguments, told, is_final)
  select ended.org_id, ended.id, s.seq, s.path, s.kind, s.connector, s.action, s.arguments, s.told, s.is_final
  from ended, jsonb_to_recordset($9::jsonb) as s (seq integer, path text, kind text, connector text, action text,
    arguments jsonb, told jsonb, is_final boolean)
  on conflict (org_id, run_id, path) do update set told = excluded.told
), noted as (
  insert into asoe.facts (org_id, kind, ticket_id, actor, data)
  select org_id, 'run.ended', ticket_id, $10,
    jsonb_build_object('run_id', id, 'runbook_id', runbook_id, 'mode', mode, 'verdict', status, 'reason', reason)
  from ended
)
select doubtful from ended

-- name: ask_to_cancel
-- no row when it has ended, or is not there
update asoe.runbook_runs r set cancel_requested_at = coalesce(r.cancel_requested_at, clock_timestamp()),
  due_at = case when r.status = 'waiting' then clock_timestamp() else r.due_at end
where r.org_id = $1 and r.id = $2 and r.ended_at is null
returning {columns}

-- name: answer
-- what was read from the client's words; a run that waits for it is due
update asoe.runbook_runs r set slots = r.slots || $3::jsonb,
  due_at = case when r.status = 'waiting' then clock_timestamp() else r.due_at end
where r.org_id = $1 and r.id = $2 and r.ended_at is null
returning r.id

-- name: now
select clock_timestamp()

-- name: due
-- runs that should go on, of every organization; ids and times only (asoe_system)
select org_id, run_id, due_at from asoe.system_due_runs($1)
