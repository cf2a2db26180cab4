-- name: create
-- owner connection only
select org_id, owner_id, engine_id from asoe.create_organization($1, $2, $3, $4, $5)

-- name: remove
-- owner connection only
select asoe.delete_organization($1)

-- name: set_suspended
-- owner connection only; false when there is none
update asoe.organization_profiles set suspended_at = case when $2 then coalesce(suspended_at, now()) end
where org_id = $1
returning org_id

-- name: find_accounts
-- owner connection only: the organization's oldest owner and its engine, by slug or id
select p.org_id, p.slug, o.user_id as owner_id, o.name as owner_name, e.user_id as engine_id
from asoe.organization_profiles p
join asoe.members e on e.org_id = p.org_id and e.kind = 'engine'
join lateral (
  select m.user_id, m.name from asoe.members m
  where m.org_id = p.org_id and m.role = 'owner' and m.kind = 'person' and m.disabled_at is null
  order by m.created_at, m.user_id limit 1
) o on true
where p.slug = $1 or p.org_id::text = $1

-- name: list_slugs
-- owner connection only: for whoever named one that is not there
select slug, suspended_at is not null as is_suspended from asoe.organization_profiles order by slug limit 21

-- name: list_all
-- asoe_system
select org_id, slug, engine_id from asoe.system_organizations()

-- name: read
select org_id, name, slug, settings, created_at, suspended_at
from asoe.organization_profiles
where org_id = $1

-- name: settings
select settings from asoe.organization_profiles where org_id = $1

-- name: change
-- settings are merged key by key; a null removes its key
update asoe.organization_profiles
set name = coalesce($2, name), settings = jsonb_strip_nulls(settings || $3::jsonb)
where org_id = $1
returning org_id, name, slug, settings, created_at, suspended_at

-- name: list_members
-- oldest first, behind the member $4; $3 true shows the disabled too
select user_id, role, kind, name, email, created_at, disabled_at
from asoe.members
where org_id = $1 and kind = 'person' and ($2::text is null or role = $2) and ($3 or disabled_at is null)
  and ($4::uuid is null or (created_at, user_id) > (
    select b.created_at, b.user_id from asoe.members b where b.org_id = $1 and b.user_id = $4))
order by created_at, user_id
limit $5

-- name: find_member
select user_id, role, kind, name, email, created_at, disabled_at
from asoe.members
where org_id = $1 and user_id = $2

-- name: find_member_by_email
select user_id, role, kind, name, email, created_at, disabled_at
from asoe.members
where org_id = $1 and lower(email) = $2

-- name: add_account
-- checks inside that the caller is an admin
select asoe.add_account($1, $2, $3, $4)

-- name: lock_owners
-- the people who still own; locked in one order, so that two owners cannot remove each other
select user_id from asoe.members
where org_id = $1 and role = 'owner' and kind = 'person' and disabled_at is null
order by user_id
for update

-- name: change_member
-- $3 the role or null, $4 true disables, false enables, null leaves as it is
update asoe.members
set role = coalesce($3, role),
  disabled_at = case when $4::boolean is null then disabled_at when $4 then coalesce(disabled_at, now()) end
where org_id = $1 and user_id = $2 and kind <> 'engine'
returning user_id, role, kind, name, email, created_at, disabled_at

-- name: memberships
-- asoe_system: where a person may act
select org_id, role, name, org_name, suspended_at from asoe.system_memberships($1)

-- name: find_address
-- asoe_system
select user_id from asoe.system_find_address($1)

-- name: invite
insert into asoe.invitations (org_id, email, role, hash, invited_by, expires_at)
values ($1, $2, $3, $4, $5, $6)
returning id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at

-- name: list_invitations
-- newest first
select id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at
from asoe.invitations
where org_id = $1 and ($2 or (accepted_at is null and revoked_at is null))
order by created_at desc, id
limit 500

-- name: revoke_invitation
update asoe.invitations set revoked_at = coalesce(revoked_at, now())
where org_id = $1 and id = $2 and accepted_at is null
returning id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at

-- name: revoke_invitations_to
-- a newer invitation replaces those before it
update asoe.invitations set revoked_at = now()
where org_id = $1 and email = $2 and accepted_at is null and revoked_at is null

-- name: revoke_invitations_of
-- whoever is disabled must not come back, or bring others, through what is still open
update asoe.invitations set revoked_at = now()
where org_id = $1 and (invited_by = $2 or email = $3) and accepted_at is null and revoked_at is null

-- name: accept_invitation
-- asoe_system: the token is the proof
select org_id, user_id, role from asoe.system_accept_invitation($1, $2)

-- name: find_invitation
-- asoe_system: why an invitation was not accepted
select email, role, expires_at, accepted_at, revoked_at from asoe.system_find_invitation($1)
