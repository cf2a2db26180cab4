-- when: before deploy
-- Incidents: many tickets, one cause. A sign is what a ticket's run found that others may share, a link a ticket's part in an incident,
-- a notice that a client was told something of it: once, by its key.

alter table public.support_tickets drop constraint support_tickets_waiting_check;
alter table public.support_tickets add constraint support_tickets_waiting_check
  check (waiting_for in ('client', 'approval', 'timer', 'person', 'incident')) not valid;
alter table public.support_tickets validate constraint support_tickets_waiting_check;
alter table asoe.journeys drop constraint journeys_stage_check;
alter table asoe.journeys add constraint journeys_stage_check
  check (stage in ('triage', 'resolve', 'run', 'await_client', 'await_incident', 'with_person', 'ended'));

create table asoe.incidents (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  number integer not null,
  title text not null,
  source text not null check (source in ('person', 'checks', 'alert', 'spike')),
  status text not null check (status in ('suspected', 'open', 'fixing', 'mended', 'closed', 'dismissed')),
  keys text[] not null default '{}',              -- what its tickets have in common: intent:…, runbook:…, check:…, connector:…, alert:…
  place jsonb not null default '{}',              -- {connector, action, arguments} of the check that names it
  known text not null default '',                 -- what clients are told instead of the engine's own words
  fix text not null default '',                   -- the runbook that mends the cause
  slots jsonb not null default '{}',              -- name → value that its run is given
  run_id uuid,
  trouble text not null default '',               -- why it does not go on by itself
  opened_by uuid,
  opened_at timestamptz not null default clock_timestamp(),
  since timestamptz not null default clock_timestamp(), -- tickets from then on may be part of it
  confirmed_at timestamptz,
  mended_at timestamptz,
  ended_at timestamptz,
  primary key (org_id, id),
  unique (org_id, number),
  check (ended_at is null or status in ('closed', 'dismissed'))
);
create index incidents_going on asoe.incidents (org_id) where ended_at is null;

create table asoe.incident_signs (
  org_id uuid not null,
  ticket_id uuid not null,
  key text not null,
  client_key text not null,
  run_id uuid,
  at timestamptz not null default clock_timestamp(),
  primary key (org_id, ticket_id, key),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
create index incident_signs_key on asoe.incident_signs (org_id, key, at);
create index incident_signs_at on asoe.incident_signs (org_id, at);

create table asoe.incident_tickets (
  org_id uuid not null,
  incident_id uuid not null,
  ticket_id uuid not null,
  client_key text not null,
  because text not null,
  linked_at timestamptz not null default clock_timestamp(),
  outcome text check (outcome in ('mended', 'broken', 'left')),
  reason text not null default '',
  run_id uuid,
  settled_at timestamptz,
  primary key (org_id, incident_id, ticket_id),
  foreign key (org_id, incident_id) references asoe.incidents (org_id, id) on delete cascade,
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade,
  check ((outcome is null) = (settled_at is null))
);
-- a ticket waits for one incident at a time
create unique index incident_tickets_one on asoe.incident_tickets (org_id, ticket_id) where settled_at is null;
create index incident_tickets_ticket on asoe.incident_tickets (org_id, ticket_id);

create table asoe.incident_notices (
  org_id uuid not null,
  incident_id uuid not null,
  kind text not null,                             -- known, or update:N
  client_key text not null,
  ticket_id uuid not null,
  is_said boolean not null,                       -- false: a person has the conversation and was left a note
  at timestamptz not null default clock_timestamp(),
  primary key (org_id, incident_id, kind, client_key),
  foreign key (org_id, incident_id) references asoe.incidents (org_id, id) on delete cascade,
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
create index incident_notices_ticket on asoe.incident_notices (org_id, ticket_id);

create table asoe.incident_updates (
  org_id uuid not null,
  incident_id uuid not null,
  number integer not null check (number > 0),
  content text not null,
  author uuid,
  at timestamptz not null default clock_timestamp(),
  primary key (org_id, incident_id, number),
  foreign key (org_id, incident_id) references asoe.incidents (org_id, id) on delete cascade
);

do $policies$
declare t text;
begin
  foreach t in array array['incidents', 'incident_signs', 'incident_tickets', 'incident_notices', 'incident_updates'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.staff_org()))', t || '_staff', t);
  end loop;
end
$policies$;

grant select, insert, update (title, status, keys, place, known, fix, slots, run_id, trouble, since, confirmed_at, mended_at, ended_at)
  on asoe.incidents to asoe_app;
grant select, insert, update (client_key, run_id, at), delete on asoe.incident_signs to asoe_app;
grant select, insert, update (outcome, reason, run_id, settled_at) on asoe.incident_tickets to asoe_app;
grant select, insert on asoe.incident_notices, asoe.incident_updates to asoe_app;

create index facts_incident on asoe.facts (org_id, (data ->> 'incident_id'), id) where data ? 'incident_id';

-- Organizations with an incident that has not ended: ids only.
create function asoe.system_incident_work(max_rows integer) returns table (org_id uuid)
language sql stable security definer set search_path = '' as $$
  select distinct i.org_id
  from asoe.incidents i join asoe.organization_profiles p on p.org_id = i.org_id
  where i.ended_at is null and p.suspended_at is null
  limit max_rows
$$;
revoke all on function asoe.system_incident_work(integer) from public;
grant execute on function asoe.system_incident_work(integer) to asoe_system;
