-- name: put
insert into asoe.runbooks (org_id, name, title, resolution_type) values ($1, $2, $3, $4)
on conflict (org_id, name) do update set
  title = excluded.title, resolution_type = excluded.resolution_type, updated_at = clock_timestamp()
returning id

-- name: add_version
insert into asoe.runbook_versions (org_id, runbook_id, version, source, digest, created_by)
select $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5
from asoe.runbook_versions where org_id = $1 and runbook_id = $2
returning version

-- name: hold
select id from asoe.runbooks where org_id = $1 and id = $2 for update

-- name: newest
select version, digest from asoe.runbook_versions where org_id = $1 and runbook_id = $2 order by version desc limit 1

-- name: publish
update asoe.runbooks set published_version = $3, retired_at = null, updated_at = clock_timestamp()
where org_id = $1 and id = $2

-- name: retire
update asoe.runbooks set published_version = null, retired_at = clock_timestamp(), updated_at = clock_timestamp()
where org_id = $1 and id = $2 and retired_at is null

-- name: find
select r.id, r.name, r.title, r.resolution_type, r.published_version, r.retired_at, r.created_at, r.updated_at,
  (select max(v.version) from asoe.runbook_versions v where v.org_id = r.org_id and v.runbook_id = r.id) as newest_version,
  coalesce(a.level, 'approve') as level
from asoe.runbooks r left join asoe.runbook_autonomy a on a.org_id = r.org_id and a.runbook_id = r.id
where r.org_id = $1 and (r.name = $2 or r.id::text = $2)

-- name: list
select r.id, r.name, r.title, r.resolution_type, r.published_version, r.retired_at, r.created_at, r.updated_at,
  (select max(v.version) from asoe.runbook_versions v where v.org_id = r.org_id and v.runbook_id = r.id) as newest_version,
  coalesce(a.level, 'approve') as level
from asoe.runbooks r left join asoe.runbook_autonomy a on a.org_id = r.org_id and a.runbook_id = r.id
where r.org_id = $1 and ($2 or r.retired_at is null)
order by r.name

-- name: version
select v.version, v.source, v.digest, v.created_by, v.created_at
from asoe.runbook_versions v where v.org_id = $1 and v.runbook_id = $2 and v.version = $3

-- name: versions
select version, digest, created_by, created_at from asoe.runbook_versions
where org_id = $1 and runbook_id = $2 order by version desc

-- name: published
select r.id, r.name, v.version, v.source, v.digest, coalesce(a.level, 'approve') as level
from asoe.runbooks r
join asoe.runbook_versions v on v.org_id = r.org_id and v.runbook_id = r.id and v.version = r.published_version
left join asoe.runbook_autonomy a on a.org_id = r.org_id and a.runbook_id = r.id
where r.org_id = $1
order by r.name
