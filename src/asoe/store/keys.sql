-- name: add
insert into asoe.api_keys (org_id, user_id, name, prefix, hash, scopes, created_by, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
returning id, user_id, name, prefix, $9::text as role, scopes, created_by, created_at, expires_at, revoked_at, last_used_at

-- name: list_keys
-- newest first, behind the key $3; $2 true shows the revoked too
select k.id, k.user_id, k.name, k.prefix, m.role, k.scopes, k.created_by, k.created_at, k.expires_at, k.revoked_at,
  k.last_used_at
from asoe.api_keys k join asoe.members m on m.org_id = k.org_id and m.user_id = k.user_id
where k.org_id = $1 and ($2 or k.revoked_at is null)
  and ($3::uuid is null or (k.created_at, k.id) < (
    select b.created_at, b.id from asoe.api_keys b where b.org_id = $1 and b.id = $3))
order by k.created_at desc, k.id desc
limit $4

-- name: lock
select k.id, k.user_id, k.name, k.prefix, m.role, k.scopes, k.created_by, k.created_at, k.expires_at, k.revoked_at,
  k.last_used_at
from asoe.api_keys k join asoe.members m on m.org_id = k.org_id and m.user_id = k.user_id
where k.org_id = $1 and k.id = $2
for update of k

-- name: revoke
update asoe.api_keys set revoked_at = now()
where org_id = $1 and id = $2 and revoked_at is null
returning revoked_at

-- name: find
-- asoe_system: the one question asked at every call with a key
select org_id, key_id, user_id, role, name, scopes, expires_at, revoked_at, disabled_at, suspended_at
from asoe.system_find_key($1)

-- name: used
-- asoe_system: at most one write a minute
select asoe.system_key_used($1)
