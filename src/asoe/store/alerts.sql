-- name: add_source
insert into asoe.alert_sources (org_id, id, name, kind, proof, sealed, created_by) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (org_id, name) do nothing
returning id, name, kind, proof, created_by, created_at

-- name: list_sources
select id, name, kind, proof, created_by, created_at from asoe.alert_sources where org_id = $1 order by name

-- name: find_source
select id, name, kind, proof, created_by, created_at from asoe.alert_sources where org_id = $1 and id = $2

-- name: read_sealed
select sealed from asoe.alert_sources where org_id = $1 and id = $2

-- name: seal
update asoe.alert_sources set sealed = $3 where org_id = $1 and id = $2 returning id

-- name: remove_source
delete from asoe.alert_sources where org_id = $1 and id = $2 returning id

-- name: hold
-- one message of a source at a time
select pg_advisory_xact_lock(hashtextextended($1::text, 161))

-- name: known
select fingerprint, is_firing, starts_at, ends_at, incident_id from asoe.alerts
where org_id = $1 and source_id = $2 and fingerprint = any ($3::text[])

-- name: keep
insert into asoe.alerts (org_id, source_id, fingerprint, is_firing, starts_at, ends_at, title, labels, incident_id, seen_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (org_id, source_id, fingerprint) do update set is_firing = excluded.is_firing, starts_at = excluded.starts_at,
  ends_at = excluded.ends_at, title = excluded.title, labels = excluded.labels, incident_id = excluded.incident_id,
  seen_at = excluded.seen_at

-- name: of_incident
select fingerprint, is_firing, starts_at, ends_at, title, labels from asoe.alerts
where org_id = $1 and incident_id = $2 order by starts_at, fingerprint limit 500
