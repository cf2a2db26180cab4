-- name: hold
-- live starts by one account are counted one after the other
select pg_advisory_xact_lock(hashtextextended('delegation:' || $1::uuid::text || ':' || $2::uuid::text, 0))

-- name: live_runs_since
select count(*) from asoe.runbook_runs
where org_id = $1 and initiator = $2 and mode = 'live' and created_at > $3

-- name: live_runs_before
-- the same up to then, but for the run that was started then
select count(*) from asoe.runbook_runs
where org_id = $1 and initiator = $2 and mode = 'live' and created_at > $4::timestamptz - $3::interval and created_at < $4
  and id is distinct from $5::uuid

-- name: count_own
-- the account's own tickets, as its tasks; all of them when no status is given
select count(*) from public.support_tickets
where org_id = $1 and user_id = $2 and ($3::text[] is null or status = any($3))
