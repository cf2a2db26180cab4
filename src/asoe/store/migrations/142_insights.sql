-- when: before deploy
-- Insights: what became of each ticket (ids, classes and figures, no text), the counters of each day summed up from it, and up to
-- which fact an organization is counted. A ticket that retention removes leaves its row here, so that the counts of its day stay true.

create table asoe.insight_tickets (
  org_id uuid not null references public.organizations (id) on delete cascade,
  ticket_id uuid not null,
  day date not null default (now() at time zone 'utc')::date,
  judged_at timestamptz,                          -- null: not looked at yet
  next_at timestamptz,                            -- when it is to be looked at again without a fact: the timer
  is_counted boolean not null default false,
  category text not null default '',
  intent text not null default '',
  resolution text not null default '',
  runbook text not null default '',
  channel text not null default '',
  client uuid,
  reasons text[] not null default '{}',
  moved jsonb not null default '{}',              -- unit → amount
  answered_seconds double precision,
  resolved_seconds double precision,
  resting integer not null default 0,
  handled integer not null default 0,
  contained integer not null default 0,
  verified integer not null default 0,
  ripe integer not null default 0,
  durable integer not null default 0,
  reopened integer not null default 0,
  repeated integer not null default 0,
  by_people integer not null default 0,
  replies integer not null default 0,
  first_due integer not null default 0,
  first_kept integer not null default 0,
  next_due integer not null default 0,
  next_kept integer not null default 0,
  resolution_due integer not null default 0,
  resolution_kept integer not null default 0,
  ratable integer not null default 0,
  rated integer not null default 0,
  helped integer not null default 0,
  tokens bigint not null default 0,
  model_cost numeric not null default 0,
  primary key (org_id, ticket_id)
);
create index insight_tickets_day on asoe.insight_tickets (org_id, day) where is_counted;
create index insight_tickets_client on asoe.insight_tickets (org_id, client, day) where client is not null;
create index insight_tickets_next on asoe.insight_tickets (org_id, next_at) where next_at is not null;

create table asoe.insight_days (
  org_id uuid not null references public.organizations (id) on delete cascade,
  day date not null,
  dimension text not null check (dimension in ('all', 'category', 'intent', 'resolution', 'runbook', 'channel', 'reason', 'unit')),
  value text not null default '',
  tickets bigint not null,
  resting bigint not null default 0,
  handled bigint not null default 0,
  contained bigint not null default 0,
  verified bigint not null default 0,
  ripe bigint not null default 0,
  durable bigint not null default 0,
  reopened bigint not null default 0,
  repeated bigint not null default 0,
  by_people bigint not null default 0,
  replies bigint not null default 0,
  first_due bigint not null default 0,
  first_kept bigint not null default 0,
  next_due bigint not null default 0,
  next_kept bigint not null default 0,
  resolution_due bigint not null default 0,
  resolution_kept bigint not null default 0,
  ratable bigint not null default 0,
  rated bigint not null default 0,
  helped bigint not null default 0,
  tokens bigint not null default 0,
  model_cost numeric not null default 0,
  moved numeric not null default 0,               -- of the dimension unit only
  primary key (org_id, dimension, value, day)
);
create index insight_days_day on asoe.insight_days (org_id, day);

create table asoe.insight_cursors (
  org_id uuid primary key references public.organizations (id) on delete cascade,
  xid bigint not null default 0,
  fact_id bigint not null default 0
);

do $policies$
declare t text;
begin
  foreach t in array array['insight_tickets', 'insight_days', 'insight_cursors'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.staff_org()))', t || '_staff', t);
  end loop;
end
$policies$;

-- Times are counted in 46 steps, each a factor of the square root of two, from a second to 68 days. As a vector their sums cost
-- next to nothing; pgvector lives in public, or in extensions on Supabase: its names are written in once, here.
do $times$
declare
  home text;
begin
  select n.nspname into strict home from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'vector';
  execute format('alter table asoe.insight_days add column answered_times %1$I.vector(46), add column resolved_times %1$I.vector(46)', home);
  execute format($sql$
    create function asoe.time_step(seconds double precision) returns %1$I.vector
    language sql immutable set search_path = '' as $body$
      select case when seconds is not null then
        (array_fill(0::real, array[step]) || 1::real || array_fill(0::real, array[45 - step]))::%1$I.vector end
      from (select least(45, greatest(0, floor(2 * log(2, greatest(seconds, 1)::numeric))))::integer as step) at
    $body$
    $sql$, home);
  execute format('create aggregate asoe.sum_times(%1$I.vector) (sfunc = %1$I.vector_add, stype = %1$I.vector)', home);
  execute format('revoke all on function asoe.sum_times(%I.vector) from public', home);
  execute format('grant execute on function asoe.sum_times(%I.vector) to asoe_app', home);
end
$times$;
revoke all on function asoe.time_step(double precision) from public;
grant execute on function asoe.time_step(double precision) to asoe_app;

grant select, insert, delete on asoe.insight_days to asoe_app;
grant select, insert, update (day, judged_at, next_at, is_counted, category, intent, resolution, runbook, channel, client, reasons,
  moved, answered_seconds, resolved_seconds, resting, handled, contained, verified, ripe, durable, reopened, repeated, by_people,
  replies, first_due, first_kept, next_due, next_kept, resolution_due, resolution_kept, ratable, rated, helped, tokens, model_cost)
  on asoe.insight_tickets to asoe_app;
grant select, insert, update (xid, fact_id) on asoe.insight_cursors to asoe_app;

-- Organizations with facts that nobody has counted, or with a ticket whose time has come: ids only.
create function asoe.system_insight_work(at timestamptz, max_rows integer) returns table (org_id uuid)
language sql stable security definer set search_path = '' as $$
  select p.org_id
  from asoe.organization_profiles p left join asoe.insight_cursors c on c.org_id = p.org_id
  where p.suspended_at is null and (
    exists (select from asoe.facts f
      where f.org_id = p.org_id and (f.xid, f.id) > (coalesce(c.xid, 0)::text::xid8, coalesce(c.fact_id, 0))
        and f.xid < pg_snapshot_xmin(pg_current_snapshot()))
    or exists (select from asoe.insight_tickets t where t.org_id = p.org_id and t.next_at <= at))
  limit max_rows
$$;
revoke all on function asoe.system_insight_work(timestamptz, integer) from public;
grant execute on function asoe.system_insight_work(timestamptz, integer) to asoe_system;
