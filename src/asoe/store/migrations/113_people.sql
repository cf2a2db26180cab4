-- when: before deploy
-- Organizations' profiles, members, keys, contacts; and the functions every policy leans on.

create table asoe.organization_profiles (
  org_id uuid primary key references public.organizations (id) on delete cascade,
  name text not null,
  slug text not null unique,
  settings jsonb not null default '{}',
  created_at timestamptz not null default now(),
  suspended_at timestamptz
);

create table asoe.members (
  org_id uuid not null references public.organizations (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null check (role in ('owner', 'admin', 'agent', 'client', 'engine')),
  kind text not null default 'person' check (kind in ('person', 'service', 'engine')),
  name text not null default '',
  email text,
  created_at timestamptz not null default now(),
  disabled_at timestamptz,
  primary key (org_id, user_id),
  check ((role = 'engine') = (kind = 'engine'))
);
create index members_user on asoe.members (user_id);
create unique index members_one_engine on asoe.members (org_id) where kind = 'engine';
create unique index members_email on asoe.members (org_id, lower(email)) where email is not null;

create table asoe.api_keys (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  name text not null,
  prefix text not null,
  hash bytea not null unique,
  scopes text[] not null default '{}',
  created_by uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz,
  primary key (org_id, id),
  foreign key (org_id, user_id) references asoe.members (org_id, user_id) on delete cascade
);

create table asoe.invitations (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  email text not null,
  role text not null check (role in ('owner', 'admin', 'agent', 'client')),
  hash bytea not null unique,
  invited_by uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  accepted_at timestamptz,
  revoked_at timestamptz,
  primary key (org_id, id)
);

create table asoe.contacts (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  email text,
  phone text,
  external_id text,
  name text not null default '',
  language text,
  user_id uuid references auth.users (id) on delete set null,
  blocked_at timestamptz,
  erased_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (org_id, id)
);
create unique index contacts_email on asoe.contacts (org_id, lower(email)) where email is not null;
create unique index contacts_phone on asoe.contacts (org_id, phone) where phone is not null;
create unique index contacts_external on asoe.contacts (org_id, external_id) where external_id is not null;
create unique index contacts_user on asoe.contacts (org_id, user_id) where user_id is not null;

create function asoe.claims() returns jsonb language sql stable set search_path = '' as $$
  select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;

-- The organization this transaction acts for: claimed, and confirmed by a membership; null otherwise. Every statement asks
-- these several times: in PL/pgSQL, by primary keys, they take half the time they take as SQL functions.
create function asoe.current_org() returns uuid language plpgsql stable security definer set search_path = '' as $$
declare
  org uuid := nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org_id', '')::uuid;
  caller uuid := auth.uid();
begin
  return (select m.org_id from asoe.members m where m.org_id = org and m.user_id = caller and m.disabled_at is null
    and exists (select from public.user_organizations u where u.user_id = caller and u.org_id = org));
end
$$;

create function asoe.current_role() returns text language plpgsql stable security definer set search_path = '' as $$
declare
  org uuid := nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org_id', '')::uuid;
  caller uuid := auth.uid();
begin
  return (select m.role from asoe.members m where m.org_id = org and m.user_id = caller and m.disabled_at is null
    and exists (select from public.user_organizations u where u.user_id = caller and u.org_id = org));
end
$$;

create function asoe.is_staff() returns boolean language plpgsql stable security definer set search_path = '' as $$
declare
  org uuid := nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org_id', '')::uuid;
  caller uuid := auth.uid();
begin
  return exists (select from asoe.members m where m.org_id = org and m.user_id = caller and m.disabled_at is null
    and m.role in ('owner', 'admin', 'agent', 'engine')
    and exists (select from public.user_organizations u where u.user_id = caller and u.org_id = org));
end
$$;

create function asoe.is_admin() returns boolean language plpgsql stable security definer set search_path = '' as $$
begin
  return coalesce(asoe.current_role() in ('owner', 'admin'), false);
end
$$;

-- Every organization in which the caller is staff; independent of the claimed one, so that it also serves PostgREST.
create function asoe.staff_orgs() returns setof uuid language plpgsql stable security definer set search_path = '' as $$
declare
  caller uuid := auth.uid();
begin
  return query
    select m.org_id from asoe.members m
    where m.user_id = caller and m.disabled_at is null and m.role in ('owner', 'admin', 'agent', 'engine')
      and exists (select from public.user_organizations u where u.user_id = caller and u.org_id = m.org_id);
end
$$;

-- A disabled member keeps its row in user_organizations (which may be another application's), so the clients' policies ask.
create function asoe.disabled_orgs() returns setof uuid language sql stable security definer set search_path = '' as $$
  select m.org_id from asoe.members m where m.user_id = (select auth.uid()) and m.disabled_at is not null
$$;

alter table asoe.organization_profiles enable row level security;
alter table asoe.organization_profiles force row level security;
create policy profiles_read on asoe.organization_profiles for select to asoe_app
  using (org_id = (select asoe.current_org()));
create policy profiles_write on asoe.organization_profiles for update to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_admin()));
grant select on asoe.organization_profiles to asoe_app;
grant update (name, settings) on asoe.organization_profiles to asoe_app;

alter table asoe.members enable row level security;
alter table asoe.members force row level security;
create policy members_read on asoe.members for select to asoe_app
  using (org_id = (select asoe.current_org()) and ((select asoe.is_staff()) or user_id = (select auth.uid())));
create policy members_write on asoe.members for update to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_admin()) and kind <> 'engine'
    and (role <> 'owner' or (select asoe.current_role()) = 'owner'))
  with check (org_id = (select asoe.current_org()) and (select asoe.is_admin()) and kind <> 'engine'
    and (role <> 'owner' or (select asoe.current_role()) = 'owner'));
grant select on asoe.members to asoe_app;
grant update (role, name, disabled_at) on asoe.members to asoe_app;

alter table asoe.api_keys enable row level security;
alter table asoe.api_keys force row level security;
-- a key speaks for an account made for keys, never for a person
create policy api_keys_admin on asoe.api_keys for all to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_admin()))
  with check (org_id = (select asoe.current_org()) and (select asoe.is_admin())
    and exists (select 1 from asoe.members m where m.org_id = api_keys.org_id and m.user_id = api_keys.user_id
      and m.kind = 'service'));
grant select, insert, update (name, revoked_at) on asoe.api_keys to asoe_app;

alter table asoe.invitations enable row level security;
alter table asoe.invitations force row level security;
create policy invitations_admin on asoe.invitations for all to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_admin()));
grant select, insert, update (revoked_at) on asoe.invitations to asoe_app;

alter table asoe.contacts enable row level security;
alter table asoe.contacts force row level security;
create policy contacts_staff on asoe.contacts for all to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_staff()));
grant select, insert, update (email, phone, external_id, name, language, user_id, blocked_at, erased_at), delete
  on asoe.contacts to asoe_app;

-- Accounts. The one way in for asoe_app: the caller must be an admin of the claimed organization.
create function asoe.add_account(account_kind text, account_role text, account_name text, account_email text)
returns uuid language plpgsql security definer set search_path = '' as $$
declare
  org uuid := asoe.current_org();
  account uuid;
begin
  if org is null or not asoe.is_admin() then
    raise insufficient_privilege using message = 'only an owner or admin of the organization may add accounts';
  end if;
  if account_kind not in ('person', 'service') or account_role not in ('owner', 'admin', 'agent', 'client') then
    raise check_violation using message = 'kind must be person or service, role one of owner, admin, agent, client';
  end if;
  if account_kind = 'service' and account_email is not null then
    raise check_violation using message = 'a service account is nobody''s: it has no address';
  end if;
  if account_role = 'owner' and asoe.current_role() <> 'owner' then
    raise insufficient_privilege using message = 'only an owner may add an owner';
  end if;
  if account_email is not null then
    select id into account from auth.users where lower(email) = lower(account_email);
  end if;
  if account is null then
    insert into auth.users (id, email) values (gen_random_uuid(), account_email) returning id into account;
  end if;
  insert into public.user_organizations (user_id, org_id) values (account, org) on conflict do nothing;
  insert into asoe.members (org_id, user_id, role, kind, name, email)
    values (org, account, account_role, account_kind, account_name, account_email);
  return account;
end
$$;
revoke all on function asoe.add_account(text, text, text, text) from public;
grant execute on function asoe.add_account(text, text, text, text) to asoe_app;

-- An organization with its engine account and first owner; only the owner connection may.
create function asoe.create_organization(org_name text, org_slug text, owner_email text, owner_name text,
  wanted_id uuid default null)
returns table (org_id uuid, owner_id uuid, engine_id uuid)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
  org uuid; owner_account uuid; engine_account uuid;
begin
  if wanted_id is not null and exists (select 1 from public.organizations o where o.id = wanted_id) then
    org := wanted_id;  -- an organization that was there before ASOE (Supabase)
  else
    insert into public.organizations (id) values (coalesce(wanted_id, gen_random_uuid())) returning id into org;
  end if;
  insert into asoe.organization_profiles (org_id, name, slug) values (org, org_name, org_slug);
  insert into auth.users (id, email) values (gen_random_uuid(), null) returning id into engine_account;
  insert into public.user_organizations (user_id, org_id) values (engine_account, org);
  insert into asoe.members (org_id, user_id, role, kind, name)
    values (org, engine_account, 'engine', 'engine', 'ASOE');
  select id into owner_account from auth.users where lower(email) = lower(owner_email);
  if owner_account is null then
    insert into auth.users (id, email) values (gen_random_uuid(), owner_email) returning id into owner_account;
  end if;
  insert into public.user_organizations (user_id, org_id) values (owner_account, org) on conflict do nothing;
  insert into asoe.members (org_id, user_id, role, kind, name, email)
    values (org, owner_account, 'owner', 'person', owner_name, owner_email);
  return query select org, owner_account, engine_account;
end
$$;
revoke all on function asoe.create_organization(text, text, text, text, uuid) from public;

-- What asoe_system may ask, and nothing else.
create function asoe.system_find_key(key_hash bytea)
returns table (org_id uuid, key_id uuid, user_id uuid, role text, name text, scopes text[],
  expires_at timestamptz, revoked_at timestamptz, disabled_at timestamptz, suspended_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select k.org_id, k.id, k.user_id, m.role, k.name, k.scopes, k.expires_at, k.revoked_at, m.disabled_at, p.suspended_at
  from asoe.api_keys k
  join asoe.members m on m.org_id = k.org_id and m.user_id = k.user_id
  join asoe.organization_profiles p on p.org_id = k.org_id
  where k.hash = key_hash
$$;

create function asoe.system_key_used(key_hash bytea) returns void
language sql security definer set search_path = '' as $$
  update asoe.api_keys set last_used_at = now()
  where hash = key_hash and (last_used_at is null or last_used_at < now() - interval '1 minute')
$$;

-- A token speaks for a person; the accounts of keys answer to their key alone, so that revoking it is enough.
create function asoe.system_memberships(account uuid)
returns table (org_id uuid, role text, name text, org_name text, suspended_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select m.org_id, m.role, m.name, p.name, p.suspended_at
  from asoe.members m
  join public.user_organizations u on u.user_id = m.user_id and u.org_id = m.org_id
  join asoe.organization_profiles p on p.org_id = m.org_id
  where m.user_id = account and m.disabled_at is null and m.kind = 'person'
  order by m.org_id
$$;

create function asoe.system_find_address(address text) returns table (user_id uuid)
language sql stable security definer set search_path = '' as $$
  select id from auth.users where lower(email) = lower(address)
$$;

create function asoe.system_organizations() returns table (org_id uuid, slug text, engine_id uuid)
language sql stable security definer set search_path = '' as $$
  select p.org_id, p.slug, m.user_id
  from asoe.organization_profiles p join asoe.members m on m.org_id = p.org_id and m.kind = 'engine'
  where p.suspended_at is null
  order by p.org_id
$$;

create function asoe.system_find_invitation(token_hash bytea)
returns table (org_id uuid, id uuid, email text, role text, expires_at timestamptz, accepted_at timestamptz, revoked_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select i.org_id, i.id, i.email, i.role, i.expires_at, i.accepted_at, i.revoked_at
  from asoe.invitations i where i.hash = token_hash
$$;

-- Accepting is the one thing somebody without an account does; the token is the proof.
-- It never changes the role of an active member; a disabled one comes back as whom the new invitation names.
create function asoe.system_accept_invitation(token_hash bytea, member_name text)
returns table (org_id uuid, user_id uuid, role text)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
  found asoe.invitations; account uuid; given_role text;
begin
  update asoe.invitations set accepted_at = now()
    where hash = token_hash and accepted_at is null and revoked_at is null and expires_at > now()
    returning * into found;
  if found.id is null then
    return;
  end if;
  select id into account from auth.users where lower(email) = lower(found.email);
  if account is null then
    insert into auth.users (id, email) values (gen_random_uuid(), found.email) returning id into account;
  end if;
  insert into public.user_organizations (user_id, org_id) values (account, found.org_id) on conflict do nothing;
  insert into asoe.members as m (org_id, user_id, role, kind, name, email)
    values (found.org_id, account, found.role, 'person', member_name, found.email)
    on conflict (org_id, user_id) do update set
      role = case when m.disabled_at is null then m.role else excluded.role end, disabled_at = null
    returning m.role into given_role;
  insert into asoe.facts (org_id, kind, actor, data) values (found.org_id, 'member.added', account,
    jsonb_build_object('user_id', account, 'role', given_role, 'invitation_id', found.id));
  return query select found.org_id, account, given_role;
end
$$;

-- a function is open to everybody until it is closed
revoke all on all functions in schema asoe from public;

do $grants$
declare f text;
begin
  foreach f in array array[
    'asoe.system_find_key(bytea)', 'asoe.system_key_used(bytea)', 'asoe.system_memberships(uuid)',
    'asoe.system_find_address(text)', 'asoe.system_organizations()', 'asoe.system_find_invitation(bytea)',
    'asoe.system_accept_invitation(bytea, text)']
  loop
    execute format('grant execute on function %s to asoe_system', f);
  end loop;
  foreach f in array array['asoe.claims()', 'asoe.current_org()', 'asoe.current_role()', 'asoe.is_staff()', 'asoe.is_admin()', 'asoe.staff_orgs()', 'asoe.disabled_orgs()']
  loop
    execute format('grant execute on function %s to asoe_app', f);
  end loop;
end
$grants$;
-- PostgREST's callers evaluate the restrictive policies too; these functions show each only its own organizations
grant execute on function asoe.staff_orgs(), asoe.disabled_orgs() to authenticated;
grant usage on schema asoe to authenticated;
