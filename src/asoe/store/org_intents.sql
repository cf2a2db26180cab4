-- name: hold
-- one change of an organization's intents at a time, so that the count is kept
select pg_advisory_xact_lock(hashtextextended($1::text, 171))

-- name: list_all
select id, name, category, title, description, examples, created_at, updated_at, retired_at from asoe.org_intents
where org_id = $1 and ($2 or retired_at is null) order by retired_at is not null, category, name limit 2000

-- name: find
select id, name, category, title, description, examples, created_at, updated_at, retired_at from asoe.org_intents
where org_id = $1 and name = $2

-- name: insert
insert into asoe.org_intents (org_id, name, category, title, description, examples, vectors, base_version, created_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (org_id, name) do nothing
returning id, name, category, title, description, examples, created_at, updated_at, retired_at

-- name: change
update asoe.org_intents set title = $3, description = $4, examples = $5, vectors = $6, base_version = $7, updated_at = clock_timestamp()
where org_id = $1 and name = $2
returning id, name, category, title, description, examples, created_at, updated_at, retired_at

-- name: retire
update asoe.org_intents set retired_at = $3, updated_at = clock_timestamp() where org_id = $1 and name = $2
returning id, name, category, title, description, examples, created_at, updated_at, retired_at

-- name: stamp
-- changes whenever an intent in use does; empty without any
select coalesce(max(updated_at)::text || '/' || count(*) filter (where retired_at is null), '') from asoe.org_intents where org_id = $1

-- name: vectors
select name, category, title, description, examples, vectors, base_version from asoe.org_intents
where org_id = $1 and retired_at is null order by name
