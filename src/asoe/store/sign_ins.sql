-- name: find_password
-- asoe_system
select user_id, hash from asoe.system_find_password($1)

-- name: find_person
-- asoe_system
select user_id from asoe.system_find_person($1)

-- name: open
-- asoe_system
select asoe.system_open_sign_in($1, $2, $3, $4, $5)

-- name: find
-- asoe_system; several at once; also notes that the sign-ins were seen
select wanted.token_hash, found.id, found.user_id, found.email, found.org_id, found.role, found.name, found.org_name,
  found.suspended_at, found.organizations
from unnest($1::bytea[]) wanted (token_hash) cross join lateral asoe.system_find_sign_in(wanted.token_hash, $2, $3) found

-- name: choose
-- asoe_system
select asoe.system_choose_organization($1, $2)

-- name: end_one
-- asoe_system
select asoe.system_end_sign_in($1)

-- name: end_all
-- asoe_system
select asoe.system_end_sign_ins($1, $2)

-- name: offer
-- asoe_system
select email, role, organization, is_open, may_set_password from asoe.system_invitation_offer($1)

-- name: accept
-- asoe_system; the account then has a password, in the same transaction
select user_id, org_id, role from asoe.system_accept_invitation($1, $2)

-- name: set_first_password
-- asoe_system
select asoe.system_set_first_password($1, $2)

-- name: own
-- the caller's own sign-ins, the latest first
select id, agent, created_at, seen_at, expires_at from asoe.sign_ins
where user_id = $1 and expires_at > $2 order by seen_at desc limit 50

-- name: own_password
select asoe.own_password()

-- name: set_own_password
select asoe.set_own_password($1)

-- name: find_account
-- owner connection only
select u.id from auth.users u where lower(u.email) = lower($1)
  and exists (select 1 from asoe.members m where m.user_id = u.id and m.kind = 'person')

-- name: set_password
-- owner connection only
insert into asoe.passwords (user_id, hash) values ($1, $2)
on conflict (user_id) do update set hash = excluded.hash, changed_at = now()

-- name: forget
-- owner connection only
delete from asoe.sign_ins where user_id = $1
