-- name: staff
-- people who may be given tickets
select user_id, name, email, role from asoe.members
where org_id = $1 and kind = 'person' and role <> 'client' and disabled_at is null
order by lower(name), user_id limit 500

-- name: names
-- whoever acted: people, keys, the engine, and clients with an account
select user_id as id, name, kind from asoe.members where org_id = $1 and user_id = any ($2::uuid[])

-- name: contacts
select id, name, email, phone, external_id from asoe.contacts where org_id = $1 and id = any ($2::uuid[])

-- name: runbooks
-- what runbooks are called, by their own ids and by those of their runs and backtests
select b.id, b.name from asoe.runbooks b where b.org_id = $1 and b.id = any ($2::uuid[])
union all
select r.id, b.name from asoe.runbook_runs r join asoe.runbooks b on b.org_id = r.org_id and b.id = r.runbook_id
where r.org_id = $1 and r.id = any ($2::uuid[])
union all
select x.id, b.name from asoe.backtests x join asoe.runbooks b on b.org_id = x.org_id and b.id = x.runbook_id
where x.org_id = $1 and x.id = any ($2::uuid[])
