-- when: before deploy
-- Assignments by routing: who was given a ticket at which level and why, and until when it may lie there. The timer is the row.

create table asoe.assignments (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  ticket_id uuid not null,
  team text not null,
  level integer not null check (level >= 1),
  is_last boolean not null default false,
  -- null: everybody who may have it works later
  user_id uuid,
  because text[] not null default '{}',
  others jsonb not null default '[]',
  given_at timestamptz not null,
  due_at timestamptz,
  ended_at timestamptz,
  ending text check (ending in ('taken', 'passed', 'over', 'changed')),
  primary key (org_id, id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
-- a ticket lies with one person at a time
create unique index assignments_one_open on asoe.assignments (org_id, ticket_id) where ended_at is null;
create index assignments_ticket on asoe.assignments (org_id, ticket_id, given_at);
create index assignments_person on asoe.assignments (org_id, user_id, given_at desc);
create index assignments_due on asoe.assignments (due_at) where ended_at is null and due_at is not null;

alter table asoe.assignments enable row level security;
alter table asoe.assignments force row level security;
create policy assignments_staff on asoe.assignments for all to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_staff()));
grant select, insert, update (due_at, ended_at, ending) on asoe.assignments to asoe_app;

-- Assignments wait beside clocks; an organization with teams has its facts read as well.
create or replace function asoe.system_service_work(at timestamptz, max_rows integer)
returns table (org_id uuid, ticket_id uuid, due_at timestamptz)
language sql stable security definer set search_path = '' as $$
  (select c.org_id, c.ticket_id, min(c.next_at)
  from asoe.service_clocks c join asoe.organization_profiles p on p.org_id = c.org_id
  where c.next_at <= at and p.suspended_at is null
  group by c.org_id, c.ticket_id order by 3 limit max_rows)
  union all
  (select a.org_id, a.ticket_id, a.due_at
  from asoe.assignments a join asoe.organization_profiles p on p.org_id = a.org_id
  where a.ended_at is null and a.due_at <= at and p.suspended_at is null
  order by 3 limit max_rows)
  union all
  select p.org_id, null, null
  from asoe.organization_profiles p left join asoe.service_watches w on w.org_id = p.org_id
  where p.suspended_at is null and p.settings ?| array['service_levels', 'teams'] and (w.org_id is null or exists (
    select from asoe.facts f
    where f.org_id = p.org_id and (f.xid, f.id) > (w.xid::text::xid8, w.fact_id)
      and f.xid < pg_snapshot_xmin(pg_current_snapshot())))
$$;
