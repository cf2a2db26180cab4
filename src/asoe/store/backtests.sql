-- name: begin
insert into asoe.backtests (org_id, runbook_id, version, most, started_by) values ($1, $2, $3, $4, $5) returning id

-- name: going_on
select exists (select from asoe.backtests where org_id = $1 and runbook_id = $2 and ended_at is null
  and created_at > clock_timestamp() - interval '1 hour')

-- name: find
select id, runbook_id, version, status, most, done, report, trouble, started_by, created_at, ended_at
from asoe.backtests where org_id = $1 and id = $2

-- name: newest
select id, runbook_id, version, status, most, done, null as report, trouble, started_by, created_at, ended_at
from asoe.backtests where org_id = $1 and runbook_id = $2 order by created_at desc limit 10

-- name: go_on
-- false when it has ended, by a person's hand or otherwise
update asoe.backtests set status = 'running', done = $3 where org_id = $1 and id = $2 and ended_at is null returning true

-- name: settle
update asoe.backtests set status = $3, report = $4, trouble = $5, ended_at = clock_timestamp()
where org_id = $1 and id = $2 and ended_at is null returning true
