-- when: before deploy
-- The secret key's fingerprint, who a token may speak for, invitations that cannot undo a disabling, leaving for good.

-- One row, written when the secret key is first used: from then on a lost key file is an error, never a new key.
create table asoe.secret_key_fingerprint (
  is_single boolean primary key default true check (is_single),
  fingerprint text not null,
  made_at timestamptz not null default now(),
  rotated_at timestamptz
);
alter table asoe.secret_key_fingerprint enable row level security;
alter table asoe.secret_key_fingerprint force row level security;
create policy secret_key_fingerprint_read on asoe.secret_key_fingerprint for select to asoe_app using (true);
grant select on asoe.secret_key_fingerprint to asoe_app;

-- The first claim wins; a rotation is accepted from whoever still has the remembered key among the older ones.
create function asoe.claim_secret_key(current_fingerprint text, older text[]) returns text
language plpgsql security definer set search_path = '' as $$
begin
  insert into asoe.secret_key_fingerprint (fingerprint) values (current_fingerprint) on conflict do nothing;
  update asoe.secret_key_fingerprint set fingerprint = current_fingerprint, rotated_at = now()
    where fingerprint = any (older) and fingerprint <> current_fingerprint;
  return (select fingerprint from asoe.secret_key_fingerprint);
end
$$;
revoke all on function asoe.claim_secret_key(text, text[]) from public;
grant execute on function asoe.claim_secret_key(text, text[]) to asoe_app;

-- A token speaks for a person; the accounts of keys answer to their key alone, so that revoking it is enough.
create or replace function asoe.system_memberships(account uuid)
returns table (org_id uuid, role text, name text, org_name text, suspended_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select m.org_id, m.role, m.name, p.name, p.suspended_at
  from asoe.members m
  join public.user_organizations u on u.user_id = m.user_id and u.org_id = m.org_id
  join asoe.organization_profiles p on p.org_id = m.org_id
  where m.user_id = account and m.disabled_at is null and m.kind = 'person'
  order by m.org_id
$$;

-- Accepting never changes the role of an active member; a disabled one comes back as whom the new invitation names.
create or replace function asoe.system_accept_invitation(token_hash bytea, member_name text)
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

-- Everything ASOE holds of an organization. One that was there before ASOE (its table is none of our foundations) stays,
-- without ASOE's rows. People without any organization left lose their account where accounts are ours.
create function asoe.delete_organization(org uuid) returns boolean language plpgsql set search_path = '' as $$
declare
  was_there boolean := exists (select 1 from asoe.organization_profiles p where p.org_id = org);
  machines uuid[] := array(select user_id from asoe.members where org_id = org and kind <> 'person');
  people uuid[] := array(select user_id from asoe.members where org_id = org and kind = 'person');
  t text;
begin
  if not was_there then
    return false;
  end if;
  if exists (select 1 from asoe.foundations where name = 'public.organizations') then
    delete from public.organizations where id = org;
  else
    delete from public.support_tickets where org_id = org;
    for t in
      select c.relname from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid
      where c.relnamespace = 'asoe'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
        and a.attname = 'org_id' and not a.attisdropped
      order by c.relname
    loop
      execute format('delete from asoe.%I where org_id = $1', t) using org;
    end loop;
  end if;
  delete from auth.users a where id = any (machines)
    and not exists (select 1 from asoe.members m where m.user_id = a.id);
  if exists (select 1 from asoe.foundations where name = 'auth.users') then
    delete from auth.users a where id = any (people)
      and not exists (select 1 from public.user_organizations u where u.user_id = a.id);
  end if;
  return true;
end
$$;
revoke all on function asoe.delete_organization(uuid) from public;
