-- name: add
insert into asoe.connectors (org_id, name, kind, config, sealed, allow_private, created_by)
values ($1, $2, $3, $4, $5, $6, $7)
returning id, name, kind, config, allow_private, sealed is not null as has_secrets, disabled_at, disabled_why, created_by,
  created_at, updated_at

-- name: read
select id, name, kind, config, allow_private, sealed is not null as has_secrets, disabled_at, disabled_why, created_by,
  created_at, updated_at
from asoe.connectors where org_id = $1 and name = $2

-- name: read_sealed
-- the only query that reads secrets; they are opened in memory and shown to nobody
select sealed from asoe.connectors where org_id = $1 and name = $2

-- name: list_all
select id, name, kind, config, allow_private, sealed is not null as has_secrets, disabled_at, disabled_why, created_by,
  created_at, updated_at
from asoe.connectors where org_id = $1 order by name

-- name: change
-- only over the state that was read: between reading and writing the other side may have been asked
update asoe.connectors set config = $3, sealed = $4, allow_private = $5, updated_at = clock_timestamp()
where org_id = $1 and name = $2 and updated_at = $6
returning id, name, kind, config, allow_private, sealed is not null as has_secrets, disabled_at, disabled_why, created_by,
  created_at, updated_at

-- name: set_disabled
update asoe.connectors set disabled_at = case when $3::text is null then null else coalesce(disabled_at, clock_timestamp()) end,
  disabled_why = $3, updated_at = clock_timestamp()
where org_id = $1 and name = $2
returning id, name, kind, config, allow_private, sealed is not null as has_secrets, disabled_at, disabled_why, created_by,
  created_at, updated_at

-- name: remove
delete from asoe.connectors where org_id = $1 and name = $2 returning id

-- name: note_trouble
insert into asoe.connector_troubles (org_id, connector_id, detail, paused_until)
values ($1, $2, $3, clock_timestamp() + $4::interval)
on conflict (org_id, connector_id) do update set at = excluded.at, detail = excluded.detail,
  paused_until = coalesce(excluded.paused_until, connector_troubles.paused_until), ended_at = null

-- name: end_trouble
update asoe.connector_troubles set ended_at = clock_timestamp(), paused_until = null
where org_id = $1 and connector_id = $2 and ended_at is null

-- name: troubles
-- the latest of each connector, ended or not
select connector_id, at, detail, paused_until, ended_at from asoe.connector_troubles where org_id = $1
