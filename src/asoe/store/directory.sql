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
