-- name: add
insert into asoe.webhooks (org_id, id, kind, name, place, sealed, events, allow_private, created_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (org_id, name) do nothing
returning id, kind, name, place, events, allow_private, disabled_at, disabled_why, created_by, created_at, updated_at

-- name: list_all
select id, kind, name, place, events, allow_private, disabled_at, disabled_why, created_by, created_at, updated_at
from asoe.webhooks where org_id = $1 order by name

-- name: find
select id, kind, name, place, events, allow_private, disabled_at, disabled_why, created_by, created_at, updated_at
from asoe.webhooks where org_id = $1 and id = $2

-- name: read_sealed
select sealed from asoe.webhooks where org_id = $1 and id = $2

-- name: change
-- null: as it was
update asoe.webhooks set events = coalesce($3, events), place = coalesce($4, place), sealed = coalesce($5, sealed),
  allow_private = coalesce($6, allow_private), updated_at = clock_timestamp()
where org_id = $1 and id = $2
returning id, kind, name, place, events, allow_private, disabled_at, disabled_why, created_by, created_at, updated_at

-- name: set_disabled
update asoe.webhooks set disabled_at = case when $3::text is null then null else coalesce(disabled_at, now()) end,
  disabled_why = $3, updated_at = clock_timestamp()
where org_id = $1 and id = $2
returning id, kind, name, place, events, allow_private, disabled_at, disabled_why, created_by, created_at, updated_at

-- name: remove
delete from asoe.webhooks where org_id = $1 and id = $2 returning id
