-- when: before deploy
-- Passwords and sign-ins of people. They belong to a person, not to an organization; the app's role reads neither: a
-- password is set by its own owner, by whoever accepts a first invitation, or by the owner connection.

create table asoe.passwords (
  user_id uuid primary key references auth.users (id) on delete cascade,
  hash text not null,
  changed_at timestamptz not null default now()
);
alter table asoe.passwords enable row level security;
alter table asoe.passwords force row level security;
create policy passwords_own on asoe.passwords for all to asoe_app using (user_id = (select auth.uid()));

create table asoe.sign_ins (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  org_id uuid references public.organizations (id) on delete set null,
  token_hash bytea not null unique,
  agent text not null default '' check (length(agent) <= 200),
  created_at timestamptz not null,
  seen_at timestamptz not null,
  expires_at timestamptz not null
);
create index sign_ins_user on asoe.sign_ins (user_id);
alter table asoe.sign_ins enable row level security;
alter table asoe.sign_ins force row level security;
create policy sign_ins_own on asoe.sign_ins for select to asoe_app using (user_id = (select auth.uid()));
grant select (id, user_id, agent, created_at, seen_at, expires_at) on asoe.sign_ins to asoe_app;

-- What a person does with its own password; the hash is checked outside, where hashing costs nobody a connection.
create function asoe.own_password() returns text
language sql stable security definer set search_path = '' as $$
  select hash from asoe.passwords where user_id = auth.uid() and asoe.current_org() is not null
$$;

create function asoe.set_own_password(new_hash text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  if asoe.current_org() is null then
    raise insufficient_privilege using message = 'only a member signed in to its organization may set its password';
  end if;
  insert into asoe.passwords (user_id, hash) values (auth.uid(), new_hash)
    on conflict (user_id) do update set hash = excluded.hash, changed_at = now();
end
$$;

-- What asoe_system may ask for the sign-in door.
create function asoe.system_find_password(address text) returns table (user_id uuid, hash text)
language sql stable security definer set search_path = '' as $$
  select u.id, p.hash
  from auth.users u join asoe.passwords p on p.user_id = u.id
  where lower(u.email) = lower(address)
    and exists (select 1 from asoe.members m where m.user_id = u.id and m.kind = 'person' and m.disabled_at is null)
$$;

create function asoe.system_open_sign_in(account uuid, hash bytea, browser text, at timestamptz, until timestamptz)
returns void language plpgsql security definer set search_path = '' as $$
begin
  delete from asoe.sign_ins where user_id = account and expires_at < at;
  insert into asoe.sign_ins (user_id, token_hash, agent, created_at, seen_at, expires_at)
    values (account, hash, left(browser, 200), at, at, until);
end
$$;

-- The sign-in with the membership it acts with; no role: no organization is chosen yet, or the membership is gone.
create function asoe.system_find_sign_in(hash bytea, at timestamptz, idle interval)
returns table (id uuid, user_id uuid, email text, org_id uuid, role text, name text, org_name text,
  suspended_at timestamptz, organizations integer)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
  found asoe.sign_ins;
begin
  select * into found from asoe.sign_ins s where s.token_hash = hash and s.expires_at > at and s.seen_at > at - idle;
  if found.id is null then
    return;
  end if;
  if found.seen_at < at - interval '1 minute' then
    update asoe.sign_ins s set seen_at = at where s.id = found.id;
  end if;
  return query
    select found.id, found.user_id, (select u.email::text from auth.users u where u.id = found.user_id), m.org_id, m.role,
      m.name, p.name, p.suspended_at,
      (select count(*)::integer from asoe.system_memberships(found.user_id))
    from (select 1) one
    left join asoe.members m on m.org_id = found.org_id and m.user_id = found.user_id and m.disabled_at is null
      and m.kind = 'person'
      and exists (select 1 from public.user_organizations u where u.user_id = m.user_id and u.org_id = m.org_id)
    left join asoe.organization_profiles p on p.org_id = m.org_id;
end
$$;

create function asoe.system_choose_organization(hash bytea, org uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  update asoe.sign_ins s set org_id = org
    where s.token_hash = hash and exists (select 1 from asoe.system_memberships(s.user_id) m
      where m.org_id = org and m.suspended_at is null);
  return found;
end
$$;

create function asoe.system_end_sign_in(hash bytea) returns void
language sql security definer set search_path = '' as $$
  delete from asoe.sign_ins where token_hash = hash
$$;

create function asoe.system_end_sign_ins(account uuid, but bytea default null) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  ended integer;
begin
  delete from asoe.sign_ins where user_id = account and token_hash is distinct from but;
  get diagnostics ended = row_count;
  return ended;
end
$$;

-- Whether an invitation's holder may choose the password: only for an account that has none and belongs to no other
-- organization. Otherwise who invites an address could take over the account behind it.
create function asoe.system_invitation_offer(hash bytea)
returns table (email text, role text, organization text, is_open boolean, may_set_password boolean)
language sql stable security definer set search_path = '' as $$
  select i.email, i.role, p.name,
    i.accepted_at is null and i.revoked_at is null and i.expires_at > now() and p.suspended_at is null,
    not exists (select 1 from auth.users u where lower(u.email) = lower(i.email) and (
      exists (select 1 from asoe.passwords w where w.user_id = u.id)
      or exists (select 1 from asoe.members m where m.user_id = u.id and m.org_id <> i.org_id)))
  from asoe.invitations i join asoe.organization_profiles p on p.org_id = i.org_id
  where i.hash = system_invitation_offer.hash
$$;

-- In the transaction that accepts the invitation, and only there: now() is the transaction's.
create function asoe.system_set_first_password(invitation bytea, new_hash text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  account uuid;
begin
  select u.id into account from asoe.invitations i join auth.users u on lower(u.email) = lower(i.email)
    where i.hash = invitation and i.accepted_at = now()
      and not exists (select 1 from asoe.members m where m.user_id = u.id and m.org_id <> i.org_id);
  if account is null then
    return false;
  end if;
  insert into asoe.passwords (user_id, hash) values (account, new_hash) on conflict do nothing;
  return found;
end
$$;

do $grants$
declare f text;
begin
  foreach f in array array['asoe.own_password()', 'asoe.set_own_password(text)'] loop
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to asoe_app', f);
  end loop;
  foreach f in array array['asoe.system_find_password(text)',
    'asoe.system_open_sign_in(uuid, bytea, text, timestamptz, timestamptz)',
    'asoe.system_find_sign_in(bytea, timestamptz, interval)', 'asoe.system_choose_organization(bytea, uuid)',
    'asoe.system_end_sign_in(bytea)', 'asoe.system_end_sign_ins(uuid, bytea)', 'asoe.system_invitation_offer(bytea)',
    'asoe.system_set_first_password(bytea, text)'] loop
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to asoe_system', f);
  end loop;
end
$grants$;
