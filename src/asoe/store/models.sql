-- name: hold
select pg_advisory_xact_lock(hashtextextended($1::text, 152))

-- name: begin
-- one training of an organization at a time
insert into asoe.models (org_id, version, started_by, started_at)
values ($1, (select coalesce(max(version), 0) + 1 from asoe.models where org_id = $1), $2, $3)
on conflict (org_id) where state = 'training' do nothing

-- name: claim
update asoe.models set held_until = $3, progress = 0
where org_id = $1 and state = 'training' and (held_until is null or held_until < $2)
returning id, version

-- name: advance
update asoe.models set progress = $3, held_until = $4 where org_id = $1 and id = $2 and state = 'training'

-- name: finish
update asoe.models set state = $3::text, base_version = $4, fingerprint = $5, lessons = $6, metrics = $7, comparison = $8, reason = $9,
  arrays = $10, ended_at = $11::timestamptz, progress = 1,
  promoted_at = case when $3::text = 'champion' then $11::timestamptz end
where org_id = $1 and id = $2 and state = 'training'

-- name: fail
update asoe.models set state = 'failed', reason = $3, ended_at = $4 where org_id = $1 and id = $2 and state = 'training'

-- name: cancel
update asoe.models set state = 'failed', reason = 'cancelled', ended_at = $2 where org_id = $1 and state = 'training'
returning version

-- name: champion
select id, version, base_version from asoe.models where org_id = $1 and state = 'champion'

-- name: arrays
select arrays from asoe.models where org_id = $1 and id = $2

-- name: retire
update asoe.models set state = 'retired', retired_at = $3 where org_id = $1 and id = $2 and state = 'champion'

-- name: previous
-- who was champion before, of the same shared model
select id, version, base_version from asoe.models
where org_id = $1 and state = 'retired' and base_version = $2 and promoted_at < (select promoted_at from asoe.models where org_id = $1 and id = $3)
order by promoted_at desc limit 1

-- name: reinstate
update asoe.models set state = 'champion', retired_at = null where org_id = $1 and id = $2 and state = 'retired'

-- name: page
select m.id, m.version, m.state, m.base_version, m.fingerprint, m.lessons, m.metrics, m.comparison, m.reason, m.progress,
  m.started_by, p.name as started_by_name, m.started_at, m.ended_at, m.promoted_at, m.retired_at
from asoe.models m left join asoe.members p on p.org_id = m.org_id and p.user_id = m.started_by
where m.org_id = $1 and ($2::integer is null or m.version = $2)
order by m.version desc limit $3
