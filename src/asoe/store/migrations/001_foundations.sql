-- when: before deploy
-- What the contract tables lean on. On a Supabase database these exist and are used as they are.

create schema if not exists auth;
create schema if not exists asoe;

-- What was absent and is therefore ours, with its rows; what was there before is another application's and outlives ASOE.
create table asoe.foundations (name text primary key);
alter table asoe.foundations enable row level security;
alter table asoe.foundations force row level security;
create policy foundations_read on asoe.foundations for select to asoe_app using (true);

do $foundations$
begin
  if to_regclass('auth.users') is null then
    create table auth.users (
      id uuid primary key default gen_random_uuid(),
      email text,
      created_at timestamptz not null default now()
    );
    create unique index users_email on auth.users (lower(email));
    revoke all on auth.users from public;
    insert into asoe.foundations values ('auth.users');
  end if;

  if to_regprocedure('auth.uid()') is null then
    create function auth.uid() returns uuid language sql stable set search_path = '' as $uid$
      select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid
    $uid$;
  end if;

  if to_regprocedure('public.uuid_generate_v4()') is null and to_regprocedure('extensions.uuid_generate_v4()') is null then
    create function public.uuid_generate_v4() returns uuid language sql volatile set search_path = '' as $uuid$
      select gen_random_uuid()
    $uuid$;
  end if;

  if to_regclass('public.organizations') is null then
    create table public.organizations (
      id uuid primary key default gen_random_uuid(),
      created_at timestamptz not null default now()
    );
    insert into asoe.foundations values ('public.organizations');
  end if;

  if to_regclass('public.user_organizations') is null then
    create table public.user_organizations (
      user_id uuid not null references auth.users (id) on delete cascade,
      org_id uuid not null references public.organizations (id) on delete cascade,
      created_at timestamptz not null default now(),
      primary key (user_id, org_id)
    );
    create index user_organizations_org on public.user_organizations (org_id);

    alter table public.user_organizations enable row level security;
    alter table public.user_organizations force row level security;
    -- a policy that read its own table would recurse
    create policy user_organizations_own on public.user_organizations for select to authenticated
      using (user_id = (select auth.uid()));
    grant select on public.user_organizations to authenticated;

    alter table public.organizations enable row level security;
    alter table public.organizations force row level security;
    create policy organizations_member on public.organizations for select to authenticated
      using (id in (select org_id from public.user_organizations where user_id = (select auth.uid())));
    grant select on public.organizations to authenticated;
  end if;

  -- on a Supabase database the schema belongs to another role, which grants this itself
  if (select pg_get_userbyid(nspowner) = current_user from pg_namespace where nspname = 'auth') then
    grant usage on schema auth to authenticated, asoe_app, asoe_system;
    grant execute on function auth.uid() to authenticated, asoe_app;
  end if;
end
$foundations$;

revoke all on schema asoe from public;
grant usage on schema asoe to asoe_app, asoe_system;
