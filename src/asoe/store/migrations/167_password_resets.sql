-- when: before deploy
-- Forgotten passwords: a link by mail, held as the hash of its token, good once and for as long as the desk says. It belongs to a
-- person, not to an organization; the app's role reads none.

create table asoe.password_resets (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  token_hash bytea not null unique,
  asked_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz
);
create index password_resets_user on asoe.password_resets (user_id);
alter table asoe.password_resets enable row level security;
alter table asoe.password_resets force row level security;
create policy password_resets_own on asoe.password_resets for all to asoe_app using (user_id = (select auth.uid()));

-- Who a reset link may be mailed to: a person who may act in some organization, and was not sent `most` links since `since`.
create function asoe.system_ask_reset(address text, hash bytea, at timestamptz, until timestamptz, since timestamptz, most integer)
returns table (email text, name text)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
  account uuid;
begin
  select u.id into account from auth.users u where lower(u.email) = lower(address)
    and exists (select 1 from asoe.system_memberships(u.id));
  if account is null then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('password reset ' || account::text, 0));
  delete from asoe.password_resets r where r.user_id = account and r.asked_at < since and r.expires_at < at;
  if (select count(*) from asoe.password_resets r where r.user_id = account and r.asked_at >= since) >= most then
    return;
  end if;
  insert into asoe.password_resets (user_id, token_hash, asked_at, expires_at) values (account, hash, at, until);
  return query select u.email::text, coalesce((select m.name from asoe.system_memberships(account) m limit 1), '')
    from auth.users u where u.id = account;
end
$$;

create function asoe.system_read_reset(hash bytea, at timestamptz) returns table (email text)
language sql stable security definer set search_path = '' as $$
  select u.email::text from asoe.password_resets r join auth.users u on u.id = r.user_id
  where r.token_hash = system_read_reset.hash and r.used_at is null and r.expires_at > at
    and exists (select 1 from asoe.system_memberships(r.user_id))
$$;

-- Once: the new password, the end of every other link, and of every sign-in.
create function asoe.system_use_reset(hash bytea, new_hash text, at timestamptz) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  account uuid;
begin
  update asoe.password_resets r set used_at = at
    where r.token_hash = system_use_reset.hash and r.used_at is null and r.expires_at > at
      and exists (select 1 from asoe.system_memberships(r.user_id))
    returning r.user_id into account;
  if account is null then
    return null;
  end if;
  update asoe.password_resets r set used_at = at where r.user_id = account and r.used_at is null;
  insert into asoe.passwords (user_id, hash, changed_at) values (account, new_hash, at)
    on conflict (user_id) do update set hash = excluded.hash, changed_at = excluded.changed_at;
  delete from asoe.sign_ins s where s.user_id = account;
  return account;
end
$$;

do $grants$
declare f text;
begin
  foreach f in array array['asoe.system_ask_reset(text, bytea, timestamptz, timestamptz, timestamptz, integer)',
    'asoe.system_read_reset(bytea, timestamptz)', 'asoe.system_use_reset(bytea, text, timestamptz)'] loop
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to asoe_system', f);
  end loop;
end
$grants$;
