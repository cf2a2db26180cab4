-- name: find_or_create
-- The surest identifier decides: external_id, then e-mail, then telephone. An identifier is never added to a contact that
-- lacks it: whoever writes from a known address could otherwise attach a stranger's. No row: another transaction was faster.
with found as (
  select id from asoe.contacts
  where org_id = $1 and (external_id = $4 or lower(email) = $2 or phone = $3)
  order by external_id is not distinct from $4 and $4::text is not null desc,
    lower(email) is not distinct from $2 and $2::text is not null desc
  limit 1
), made as (
  insert into asoe.contacts (org_id, email, phone, external_id, name, language)
  select $1, $2, $3, $4, $5, $6 where not exists (select from found)
  on conflict do nothing
  returning id, email, phone, external_id, name, language, user_id, blocked_at, created_at, plan
), named as (
  update asoe.contacts c set name = $5
  from found where c.org_id = $1 and c.id = found.id and c.name = '' and $5 <> '' and c.erased_at is null
  returning c.id, c.name
)
select id, email, phone, external_id, name, language, user_id, blocked_at, created_at, plan from made
union all
select c.id, c.email, c.phone, c.external_id, coalesce(named.name, c.name), c.language, c.user_id, c.blocked_at, c.created_at, c.plan
from asoe.contacts c join found on found.id = c.id left join named on named.id = c.id
where c.org_id = $1

-- name: find
select id, email, phone, external_id, name, language, user_id, blocked_at, created_at, plan
from asoe.contacts
where org_id = $1 and id = $2

-- name: set_blocked
update asoe.contacts set blocked_at = case when $3 then coalesce(blocked_at, now()) end
where org_id = $1 and id = $2
returning id, email, phone, external_id, name, language, user_id, blocked_at, created_at, plan

-- name: list_contacts
-- by id, the one order that needs no further index; $2 filters blocked (null: all), $3 an exact e-mail
select id, email, phone, external_id, name, language, user_id, blocked_at, created_at, plan
from asoe.contacts
where org_id = $1 and ($2::boolean is null or (blocked_at is not null) = $2) and ($3::text is null or lower(email) = $3)
  and ($4::uuid is null or id > $4) and erased_at is null
order by id
limit $5

-- name: set_plan
update asoe.contacts set plan = $3 where org_id = $1 and id = $2 and erased_at is null
returning id, email, phone, external_id, name, language, user_id, blocked_at, created_at, plan
