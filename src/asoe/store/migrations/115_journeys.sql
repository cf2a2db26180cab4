-- when: before deploy
-- A ticket's journey, and its record as orchestrator runs with agent invocations.

create table asoe.journeys (
  org_id uuid not null references public.organizations (id) on delete cascade,
  ticket_id uuid not null,
  stage text not null check (stage in ('triage', 'resolve', 'run', 'await_client', 'with_person', 'ended')),
  attempts integer not null default 0,
  failures integer not null default 0,
  seen_seq integer not null default 0,
  due_at timestamptz,
  data jsonb not null default '{}',
  updated_at timestamptz not null default clock_timestamp(),
  primary key (org_id, ticket_id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
create index journeys_due on asoe.journeys (due_at) where due_at is not null;

create table asoe.orchestrator_runs (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null,
  ticket_id uuid,
  initiator text not null,
  entrypoint text not null,
  plan jsonb not null default '[]',
  status text not null default 'pending'
    check (status in ('pending', 'planning', 'executing', 'completed', 'failed', 'cancelled')),
  error text,
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  ended_at timestamptz,
  primary key (org_id, id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
create index orchestrator_runs_ticket on asoe.orchestrator_runs (org_id, ticket_id, created_at);

create table asoe.agent_invocations (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  run_id uuid not null,
  ticket_id uuid,
  agent text not null,
  engine_type text not null default 'local',
  input_summary jsonb not null default '{}',
  output_summary jsonb not null default '{}',
  tokens_in integer not null default 0,
  tokens_out integer not null default 0,
  cost_usd numeric(12, 6) not null default 0,
  status text not null check (status in ('pending', 'executing', 'completed', 'failed', 'cancelled')),
  error text,
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  primary key (org_id, id, started_at)
) partition by range (started_at);
create index agent_invocations_run on asoe.agent_invocations (org_id, run_id);

do $policies$
declare t text;
begin
  foreach t in array array['journeys', 'orchestrator_runs', 'agent_invocations'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.current_org()) and (select asoe.is_staff()))', t || '_staff', t);
  end loop;
end
$policies$;
grant select, insert, update (stage, attempts, failures, seen_seq, due_at, data, updated_at), delete on asoe.journeys to asoe_app;
-- the record of what was done: a run goes on, its past does not change
grant select, insert, update (plan, status, error, started_at, ended_at) on asoe.orchestrator_runs to asoe_app;
grant select, insert, update (output_summary, tokens_in, tokens_out, cost_usd, status, error, ended_at)
  on asoe.agent_invocations to asoe_app;

-- Due timers: ids and times only. Those of a suspended organization wait until it is open again.
create function asoe.system_due_timers(max_rows integer)
returns table (org_id uuid, ticket_id uuid, due_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select j.org_id, j.ticket_id, j.due_at
  from asoe.journeys j join asoe.organization_profiles p on p.org_id = j.org_id
  where j.due_at <= now() and p.suspended_at is null order by j.due_at limit max_rows
$$;
revoke all on function asoe.system_due_timers(integer) from public;
grant execute on function asoe.system_due_timers(integer) to asoe_system;

select asoe.ensure_partitions();
