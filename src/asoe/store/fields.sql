-- name: list_fields
select name, type, choices, is_required from asoe.field_definitions where org_id = $1 order by name

-- name: define
insert into asoe.field_definitions (org_id, name, type, choices, is_required) values ($1, $2, $3, $4, $5)
on conflict (org_id, name) do update set type = excluded.type, choices = excluded.choices,
  is_required = excluded.is_required

-- name: remove
-- values already on tickets stay readable
delete from asoe.field_definitions where org_id = $1 and name = $2 returning name
