-- when: before deploy
-- A double-entry ledger of clients' credits: every posting adds up to nothing, no client's account falls below zero,
-- and a refund stands on its charge and on the proof that the work charged for failed.

create table asoe.credit_accounts (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  kind text not null check (kind in ('client', 'held', 'issued', 'earned')),
  client text not null default '',                -- whose, in the words of the organization's own product; '' for its own
  balance numeric(20, 6) not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  unique (org_id, kind, client),
  check ((client = '') = (kind in ('issued', 'earned'))),
  constraint credit_accounts_never_below_zero check (kind in ('issued', 'earned') or balance >= 0)
);

create table asoe.credit_works (
  org_id uuid not null references public.organizations (id) on delete cascade,
  work text not null,                             -- the job, call or run that was charged for
  outcome text not null check (outcome in ('succeeded', 'failed')),
  evidence jsonb not null default '{}',
  reported_by uuid,
  reported_at timestamptz not null default clock_timestamp(),
  primary key (org_id, work)
);

create table asoe.credit_postings (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  kind text not null check (kind in ('grant', 'hold', 'capture', 'release', 'charge', 'refund')),
  key text not null,                              -- the caller's idempotency key
  client text not null check (client <> ''),
  amount numeric(20, 6) not null check (amount > 0),
  work text,
  of_posting uuid,                                -- a capture's or release's hold, a refund's charge
  memo text not null default '',
  posted_by uuid,
  posted_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  unique (org_id, key),
  foreign key (org_id, of_posting) references asoe.credit_postings (org_id, id),
  check ((of_posting is not null) = (kind in ('capture', 'release', 'refund'))),
  check (kind not in ('charge', 'hold') or work is not null)
);
create index credit_postings_client on asoe.credit_postings (org_id, client, posted_at desc);
create index credit_postings_of on asoe.credit_postings (org_id, of_posting) where of_posting is not null;
create index credit_postings_work on asoe.credit_postings (org_id, work) where work is not null;

create table asoe.credit_entries (
  org_id uuid not null,
  posting_id uuid not null,
  account_id uuid not null,
  amount numeric(20, 6) not null check (amount <> 0),
  primary key (org_id, posting_id, account_id),
  foreign key (org_id, posting_id) references asoe.credit_postings (org_id, id) on delete cascade,
  foreign key (org_id, account_id) references asoe.credit_accounts (org_id, id) on delete cascade
);
create index credit_entries_account on asoe.credit_entries (org_id, account_id);

-- A posting has two entries that add up to nothing: its amount, taken from one account and given to the other. No entry comes
-- later, since a third would break this as well.
create function asoe.credits_add_up() returns trigger language plpgsql set search_path = '' as $$
declare
  posting uuid := case when tg_table_name = 'credit_postings' then to_jsonb(new) ->> 'id' else to_jsonb(new) ->> 'posting_id' end;
  entries bigint;
  total numeric;
  moved numeric;
begin
  select count(*), sum(e.amount), max(e.amount) into entries, total, moved
  from asoe.credit_entries e where e.org_id = new.org_id and e.posting_id = posting;
  if entries <> 2 or total <> 0 or moved <> (
    select p.amount from asoe.credit_postings p where p.org_id = new.org_id and p.id = posting) then
    raise exception 'posting % does not add up', posting using errcode = 'check_violation', constraint = 'credits_add_up';
  end if;
  return null;
end $$;
revoke all on function asoe.credits_add_up() from public;
create constraint trigger credits_add_up after insert on asoe.credit_postings
  deferrable initially deferred for each row execute function asoe.credits_add_up();
create constraint trigger credits_add_up after insert on asoe.credit_entries
  deferrable initially deferred for each row execute function asoe.credits_add_up();

-- A balance is what its entries come to, nothing else.
create function asoe.credits_carry() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  update asoe.credit_accounts a set balance = a.balance + new.amount where a.org_id = new.org_id and a.id = new.account_id;
  return null;
end $$;
revoke all on function asoe.credits_carry() from public;
create trigger credits_carry after insert on asoe.credit_entries for each row execute function asoe.credits_carry();

-- Captures and releases use up no more than their hold; refunds give back no more than their charge, for failed work only; and
-- all of them are about the work that was first charged or held for.
create function asoe.credits_within() returns trigger language plpgsql set search_path = '' as $$
declare
  first asoe.credit_postings;
  used numeric;
begin
  if new.of_posting is null then
    return new;
  end if;
  -- who follows the same posting comes one after the other; a row lock would take a right the app must not have
  perform pg_advisory_xact_lock(hashtextextended('credits:of:' || new.of_posting, 0));
  select * into first from asoe.credit_postings p where p.org_id = new.org_id and p.id = new.of_posting;
  if first.client is distinct from new.client or first.work is distinct from new.work
    or first.kind not in ('hold', 'charge', 'capture')
    or (new.kind = 'refund') <> (first.kind in ('charge', 'capture')) then
    raise exception 'a % does not follow that posting', new.kind using errcode = 'check_violation', constraint = 'credits_follow';
  end if;
  select coalesce(sum(p.amount), 0) into used from asoe.credit_postings p
  where p.org_id = new.org_id and p.of_posting = new.of_posting;
  if used + new.amount > first.amount then
    raise exception '% of % is used already', used, first.amount
      using errcode = 'check_violation', constraint = 'credits_within';
  end if;
  if new.kind = 'refund' and not exists (
    select from asoe.credit_works w where w.org_id = new.org_id and w.work = first.work and w.outcome = 'failed') then
    raise exception 'nothing proves that % failed', first.work
      using errcode = 'check_violation', constraint = 'credits_proof';
  end if;
  return new;
end $$;
revoke all on function asoe.credits_within() from public;
create trigger credits_within before insert on asoe.credit_postings for each row execute function asoe.credits_within();

do $policies$
declare t text;
begin
  foreach t in array array['credit_accounts', 'credit_works', 'credit_postings', 'credit_entries'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.current_org()) and (select asoe.is_staff()))', t || '_staff', t);
  end loop;
end
$policies$;
-- a ledger is only ever added to; an account begins at zero, a balance moves by its entries alone, and times are the database's
grant select on asoe.credit_accounts, asoe.credit_works, asoe.credit_postings, asoe.credit_entries to asoe_app;
grant insert (org_id, kind, client) on asoe.credit_accounts to asoe_app;
grant insert (org_id, work, outcome, evidence, reported_by) on asoe.credit_works to asoe_app;
grant insert (org_id, kind, key, client, amount, work, of_posting, memo, posted_by) on asoe.credit_postings to asoe_app;
grant insert (org_id, posting_id, account_id, amount) on asoe.credit_entries to asoe_app;
