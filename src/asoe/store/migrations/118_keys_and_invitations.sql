-- when: before deploy
-- The secret key's fingerprint, and leaving for good.

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
  -- what waits to be done for it; a job that runs at this moment finds nothing and ends
  delete from queue.pgqueuer where convert_from(payload, 'UTF8') like '{"org_id":"' || org || '"%';
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
