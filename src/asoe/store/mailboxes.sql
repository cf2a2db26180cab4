-- name: read
select id, address, name, config, sealed, allow_private, updated_by, created_at, updated_at,
  fetched_validity, fetched_uid, fetched_at, fetch_trouble, fetch_tries
from asoe.mailboxes where org_id = $1

-- name: is_there
select exists (select from asoe.mailboxes where org_id = $1)

-- name: write
insert into asoe.mailboxes (org_id, address, name, config, sealed, allow_private, updated_by)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (org_id) do update set address = excluded.address, name = excluded.name, config = excluded.config,
  sealed = excluded.sealed, allow_private = excluded.allow_private, updated_by = excluded.updated_by,
  updated_at = clock_timestamp()
returning id, address, name, config, sealed, allow_private, updated_by, created_at, updated_at,
  fetched_validity, fetched_uid, fetched_at, fetch_trouble, fetch_tries

-- name: remove
delete from asoe.mailboxes where org_id = $1 returning id

-- name: fetched
update asoe.mailboxes set fetched_validity = $2, fetched_uid = $3, fetch_tries = $4, fetched_at = $5, fetch_trouble = $6
where org_id = $1
