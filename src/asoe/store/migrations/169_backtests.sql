-- when: before deploy
-- Backtests that were asked for in the dashboard: how far each is, and what it found. Case lines hold ids and classes, no client's words.

create table asoe.backtests (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  runbook_id uuid not null,
  version integer not null,
  status text not null default 'waiting' check (status in ('waiting', 'running', 'done', 'failed', 'cancelled')),
  most integer not null check (most between 1 and 1000),
  done integer not null default 0,
  report jsonb,
  trouble text not null default '',
  started_by uuid,
  created_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  primary key (org_id, id),
  foreign key (org_id, runbook_id) references asoe.runbooks (org_id, id) on delete cascade,
  check ((status = 'done') = (report is not null)),
  check ((ended_at is null) = (status in ('waiting', 'running')))
);
create index backtests_runbook on asoe.backtests (org_id, runbook_id, created_at desc);

alter table asoe.backtests enable row level security;
alter table asoe.backtests force row level security;
create policy backtests_staff on asoe.backtests for all to asoe_app using (org_id = (select asoe.staff_org()));
grant select, insert, update (status, done, report, trouble, ended_at) on asoe.backtests to asoe_app;
