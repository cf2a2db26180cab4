-- name: record
-- the only way a fact is written
insert into asoe.facts (org_id, kind, ticket_id, session_id, actor, data)
values ($1, $2, $3, $4, $5, $6)

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

-- name: newest_cursor
-- where a reader that only wants what comes next starts
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xid
