-- name: record
-- how a fact is written (runs.sql writes those of a run in the statement that makes them true)
insert into asoe.facts (org_id, kind, ticket_id, session_id, actor, data)
values ($1, $2, $3, $4, $5, $6)

-- name: record_all
-- several at once, in order; $2 is a list of {kind, ticket_id, session_id, data}
insert into asoe.facts (org_id, kind, ticket_id, session_id, actor, data)
select $1, f.kind, f.ticket_id, f.session_id, $3, f.data
from jsonb_array_elements($2::jsonb) with ordinality as listed (fact, at),
  jsonb_to_record(listed.fact) as f (kind text, ticket_id uuid, session_id uuid, data jsonb)
order by listed.at

-- name: timeline
-- one ticket's facts, oldest first
select id, kind, at, ticket_id, session_id, actor, data, xid::text::bigint as xid
from asoe.facts
where org_id = $1 and ticket_id = $2 and id > $3
order by id
limit $4

-- name: read_after
-- the tail of the log for a reader; stops before any transaction still in flight, so that none is skipped
select id, kind, at, ticket_id, session_id, actor, data, xid::text::bigint as xid
from asoe.facts
where org_id = $1 and (xid, id) > ($2::text::xid8, $3) and xid < pg_snapshot_xmin(pg_current_snapshot())
order by xid, id
limit $4

-- name: traces_of_tickets
-- in which trace something happened last to each of them
select t.id, f.trace from unnest($2::uuid[]) as t (id)
cross join lateral (select trace from asoe.facts where org_id = $1 and ticket_id = t.id and trace is not null
  order by id desc limit 1) f

-- name: traces_of_runs
-- the same of the tickets that these runs treat
select r.id, f.trace from asoe.runbook_runs r
cross join lateral (select trace from asoe.facts where org_id = $1 and ticket_id = r.ticket_id and trace is not null
  order by id desc limit 1) f
where r.org_id = $1 and r.id = any ($2::uuid[])

-- name: newest_cursor
-- where a reader that only wants what comes next starts
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xid
