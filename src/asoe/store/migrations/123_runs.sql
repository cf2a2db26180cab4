-- when: before deploy
-- Connectors, runbooks and their runs: intents before acts, outcomes after, approvals, autonomy, the emergency stop.

create table asoe.connectors (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null check (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
  kind text not null,
  config jsonb not null default '{}',
  sealed bytea,                                   -- secrets, encrypted with a key derived from the secret key
  allow_private boolean not null default false,
  disabled_at timestamptz,
  disabled_why text,
  created_by uuid,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  unique (org_id, name)
);

create table asoe.runbooks (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null check (name ~ '^[a-z][a-z0-9-]{0,62}$'),
  title text not null,
  resolution_type text not null,
  published_version integer,
  retired_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  unique (org_id, name)
);

create table asoe.runbook_versions (
  org_id uuid not null,
  runbook_id uuid not null,
  version integer not null check (version > 0),
  source text not null,
  digest text not null,
  created_by uuid,
  created_at timestamptz not null default clock_timestamp(),
  primary key (org_id, runbook_id, version),
  foreign key (org_id, runbook_id) references asoe.runbooks (org_id, id) on delete cascade
);

create table asoe.runbook_autonomy (
  org_id uuid not null,
  runbook_id uuid not null,
  level text not null default 'approve' check (level in ('off', 'shadow', 'suggest', 'approve', 'auto')),
  loan jsonb,                                     -- {by, reason, since, until, caps}
  evidence_since timestamptz not null default clock_timestamp(),
  braked_at timestamptz,
  braked_why text,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (org_id, runbook_id),
  foreign key (org_id, runbook_id) references asoe.runbooks (org_id, id) on delete cascade
);

create table asoe.runbook_runs (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  runbook_id uuid not null,
  version integer not null,
  ticket_id uuid,
  client_key text,                                -- whom caps per client count: the contact's or user's id
  mode text not null default 'live' check (mode in ('live', 'shadow', 'dry_run')),
  status text not null default 'pending' check (status in
    ('pending', 'running', 'waiting', 'verified', 'unverified', 'failed', 'escalated', 'refused', 'cancelled')),
  waiting_for text check (waiting_for in ('client', 'approval', 'timer')),
  slots jsonb not null default '{}',              -- name → reading
  environment jsonb not null default '{}',        -- ticket, contact and slots as the run began: a replay sees the same
  reason text,
  note text,
  ended_at_step text,
  evidence jsonb not null default '{}',
  initiator uuid,
  held_by uuid,                                   -- the pass that has it; others wait until held_until
  held_until timestamptz,
  due_at timestamptz,
  waiting_since timestamptz,
  waited interval not null default '0',           -- for people: the run's timeout leaves it out
  cancel_requested_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  ended_at timestamptz,
  primary key (org_id, id),
  foreign key (org_id, runbook_id, version) references asoe.runbook_versions (org_id, runbook_id, version),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade,
  check ((ended_at is null) = (status in ('pending', 'running', 'waiting')))
) with (fillfactor = 70);                         -- a run changes a few times soon after it is written, in its page
-- one ticket, one hand: at most one live run goes on for a ticket
create unique index runbook_runs_one_live on asoe.runbook_runs (org_id, ticket_id) where mode = 'live' and ended_at is null;
create index runbook_runs_ticket on asoe.runbook_runs (org_id, ticket_id, created_at desc);
create index runbook_runs_runbook on asoe.runbook_runs (org_id, runbook_id, created_at desc);
-- what changes at every claim is in no index: a claim writes one row and nothing else
create index runbook_runs_going on asoe.runbook_runs (org_id) where ended_at is null;

-- what a run has read, asked and waited for: told again on a replay, so that a replay takes the same way
create table asoe.run_steps (
  org_id uuid not null,
  run_id uuid not null,
  seq integer not null,
  path text not null,
  kind text not null check (kind in ('observe', 'inquire', 'pause')),
  connector text,
  action text,
  arguments jsonb,
  told jsonb,                                     -- null while waiting for it
  is_final boolean not null default false,
  at timestamptz not null default clock_timestamp(),
  primary key (org_id, run_id, path),
  foreign key (org_id, run_id) references asoe.runbook_runs (org_id, id) on delete cascade
);

-- intents, and what became of them
create table asoe.run_actions (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  run_id uuid not null,
  seq integer not null,
  path text not null,
  connector text not null,
  action text not null,
  risk text not null check (risk in ('reversible', 'costly', 'irreversible')),
  arguments jsonb not null,
  idempotency_key text not null,
  business_key text,
  amount numeric,
  unit text,
  client_key text,
  is_undo boolean not null default false,
  status text not null default 'intended'
    check (status in ('intended', 'done', 'failed', 'unknown', 'declined', 'simulated', 'undone')),
  attempts integer not null default 0,
  value jsonb,
  reason text,
  error text,
  approval_id uuid,
  intended_at timestamptz not null default clock_timestamp(),
  claimed_until timestamptz,                      -- until then the pass that wrote the intent may still be acting
  ended_at timestamptz,
  held_key text generated always as (             -- the business key, while nobody else may act on it
    case when not is_undo and status in ('intended', 'done', 'unknown') then business_key end) stored,
  primary key (org_id, id),
  unique (org_id, run_id, path),
  unique (org_id, idempotency_key),
  foreign key (org_id, run_id) references asoe.runbook_runs (org_id, id) on delete cascade
) with (fillfactor = 70);
-- The status is in no index, so that an outcome is written in its page and to no index.
-- money moves once: over all runs and tickets, unless the act surely had no effect
create unique index run_actions_held_key on asoe.run_actions (org_id, connector, action, held_key) where held_key is not null;
create index run_actions_caps on asoe.run_actions (org_id, connector, action, intended_at) where not is_undo;

create table asoe.approvals (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  run_id uuid not null,
  ticket_id uuid,
  path text not null,
  connector text not null,
  action text not null,
  risk text not null,
  arguments jsonb not null,
  digest text not null,                           -- of connector, action, arguments, business key, amount: dead when one changes
  card jsonb not null default '{}',               -- evidence, expected effect, undo: what the person sees
  people integer not null default 1 check (people between 1 and 5),
  role text not null default 'agent' check (role in ('agent', 'admin', 'owner')),
  status text not null default 'pending' check (status in ('pending', 'approved', 'refused', 'expired', 'dead', 'used')),
  requested_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  decided_at timestamptz,
  primary key (org_id, id),
  foreign key (org_id, run_id) references asoe.runbook_runs (org_id, id) on delete cascade
);
create unique index approvals_one_pending on asoe.approvals (org_id, run_id, path) where status in ('pending', 'approved');
create index approvals_pending on asoe.approvals (org_id, expires_at) where status = 'pending';

create table asoe.approval_votes (
  org_id uuid not null,
  approval_id uuid not null,
  user_id uuid not null,
  vote text not null check (vote in ('approve', 'refuse')),
  reason text not null default '',
  at timestamptz not null default clock_timestamp(),
  primary key (org_id, approval_id, user_id),
  foreign key (org_id, approval_id) references asoe.approvals (org_id, id) on delete cascade
);

-- judged runs: what a certificate rests on
create table asoe.run_judgements (
  org_id uuid not null,
  run_id uuid not null,
  runbook_id uuid not null,
  version integer not null,                       -- another version is another runbook: it earns its own certificate
  is_right boolean not null,
  source text not null check (source in ('audit', 'person', 'shadow', 'reopen', 'failed_check')),
  judged_by uuid,
  note text not null default '',
  at timestamptz not null default clock_timestamp(),
  primary key (org_id, run_id, source),
  foreign key (org_id, run_id) references asoe.runbook_runs (org_id, id) on delete cascade,
  foreign key (org_id, runbook_id) references asoe.runbooks (org_id, id) on delete cascade
);
create index run_judgements_runbook on asoe.run_judgements (org_id, runbook_id, at);

create table asoe.emergency_stops (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  stopped_by uuid,
  reason text not null,
  stopped_at timestamptz not null default clock_timestamp(),
  released_by uuid,
  released_at timestamptz,
  primary key (org_id, id)
);
create unique index emergency_stops_one on asoe.emergency_stops (org_id) where released_at is null;

-- The organization when the caller is staff of it: one look-up where current_org() and is_staff() would be two. A run's step
-- touches several of these tables, many times a second.
create function asoe.staff_org() returns uuid language plpgsql stable security definer set search_path = '' as $$
declare
  org uuid := nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org_id', '')::uuid;
  caller uuid := auth.uid();
begin
  return (select m.org_id from asoe.members m where m.org_id = org and m.user_id = caller and m.disabled_at is null
    and m.role in ('owner', 'admin', 'agent', 'engine')
    and exists (select from public.user_organizations u where u.user_id = caller and u.org_id = org));
end
$$;
revoke all on function asoe.staff_org() from public;
grant execute on function asoe.staff_org() to asoe_app;

do $policies$
declare t text;
begin
  foreach t in array array['connectors', 'runbooks', 'runbook_versions', 'runbook_autonomy', 'runbook_runs', 'run_steps',
    'run_actions', 'approvals', 'approval_votes', 'run_judgements', 'emergency_stops'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.staff_org()))', t || '_staff', t);
  end loop;
end
$policies$;
grant select, insert, update, delete on asoe.connectors to asoe_app;
grant select, insert, update (title, resolution_type, published_version, retired_at, updated_at) on asoe.runbooks to asoe_app;
grant select, insert on asoe.runbook_versions to asoe_app;
grant select, insert, update on asoe.runbook_autonomy to asoe_app;
grant select, insert, update (status, waiting_for, slots, reason, note, ended_at_step, evidence, held_by, held_until, due_at,
  waiting_since, waited, cancel_requested_at, started_at, ended_at) on asoe.runbook_runs to asoe_app;
grant select, insert, update (told, at) on asoe.run_steps to asoe_app;
-- an intent's arguments and keys never change
grant select, insert, update (status, attempts, value, reason, error, claimed_until, ended_at) on asoe.run_actions to asoe_app;
grant select, insert, update (status, decided_at) on asoe.approvals to asoe_app;
grant select, insert on asoe.approval_votes to asoe_app;
grant select, insert on asoe.run_judgements to asoe_app;
grant select, insert, update (released_by, released_at) on asoe.emergency_stops to asoe_app;

-- Runs that should go on: ids and times only.
create function asoe.system_due_runs(max_rows integer)
returns table (org_id uuid, run_id uuid, due_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select r.org_id, r.id, coalesce(r.due_at, r.held_until, r.created_at) from asoe.runbook_runs r
  where r.ended_at is null and coalesce(r.due_at, r.held_until, r.created_at) <= now()
    and (r.status <> 'waiting' or r.due_at is not null)
  order by 3 limit max_rows
$$;
revoke all on function asoe.system_due_runs(integer) from public;
grant execute on function asoe.system_due_runs(integer) to asoe_system;
