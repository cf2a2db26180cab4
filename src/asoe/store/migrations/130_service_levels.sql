-- when: before deploy
-- Service levels: the clocks of each ticket, and up to which fact an organization's clocks are counted. The promise itself is a setting.

alter table asoe.contacts add column plan text check (length(plan) between 1 and 64);
grant update (plan) on asoe.contacts to asoe_app;

create table asoe.service_clocks (
  org_id uuid not null references public.organizations (id) on delete cascade,
  ticket_id uuid not null,
  kind text not null check (kind in ('first_response', 'next_response', 'resolution')),
  started_at timestamptz not null,
  target interval not null,
  used interval not null,
  since timestamptz,
  due_at timestamptz,
  warn_at timestamptz,
  met_at timestamptz,
  breached_at timestamptz,
  -- what was said about it in a fact, which is said once
  warned_at timestamptz,
  told_at timestamptz,
  -- when something is to be said next: the timer
  next_at timestamptz,
  primary key (org_id, ticket_id, kind, started_at),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
create index service_clocks_next on asoe.service_clocks (next_at) where next_at is not null;
create index service_clocks_due on asoe.service_clocks (org_id, due_at) where met_at is null and due_at is not null;

create table asoe.service_watches (
  org_id uuid primary key references public.organizations (id) on delete cascade,
  xid bigint not null,
  fact_id bigint not null default 0
);

do $policies$
declare t text;
begin
  foreach t in array array['service_clocks', 'service_watches'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.current_org()) and (select asoe.is_staff()))', t || '_staff', t);
  end loop;
end
$policies$;
grant select, insert, update (target, used, since, due_at, warn_at, met_at, breached_at, warned_at, told_at, next_at), delete
  on asoe.service_clocks to asoe_app;
grant select, insert, update (xid, fact_id) on asoe.service_watches to asoe_app;

-- What waits to be counted: tickets whose timer has run out, and organizations (no ticket) with facts nobody has looked at.
create function asoe.system_service_work(at timestamptz, max_rows integer)
returns table (org_id uuid, ticket_id uuid, due_at timestamptz)
language sql stable security definer set search_path = '' as $$
  (select c.org_id, c.ticket_id, min(c.next_at)
  from asoe.service_clocks c join asoe.organization_profiles p on p.org_id = c.org_id
  where c.next_at <= at and p.suspended_at is null
  group by c.org_id, c.ticket_id order by 3 limit max_rows)
  union all
  select p.org_id, null, null
  from asoe.organization_profiles p left join asoe.service_watches w on w.org_id = p.org_id
  where p.suspended_at is null and p.settings ? 'service_levels' and (w.org_id is null or exists (
    select from asoe.facts f
    where f.org_id = p.org_id and (f.xid, f.id) > (w.xid::text::xid8, w.fact_id)
      and f.xid < pg_snapshot_xmin(pg_current_snapshot())))
$$;
revoke all on function asoe.system_service_work(timestamptz, integer) from public;
grant execute on function asoe.system_service_work(timestamptz, integer) to asoe_system;
