-- when: before deploy
-- The registry of what organizations have taught the engine: every model that was trained, what it was compared with, and which
-- one judges. A model is a layer over the shared one; its arrays are read without pickle.

create table asoe.models (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  version integer not null check (version > 0),
  state text not null default 'training' check (state in ('training', 'kept_out', 'champion', 'retired', 'failed')),
  -- the shared model it lies over; of another one it is not used
  base_version text not null default '',
  fingerprint text not null default '',
  lessons integer not null default 0,
  metrics jsonb not null default '{}',
  comparison jsonb not null default '{}',
  -- why it became champion, was kept out, or failed
  reason text not null default '',
  progress real not null default 0 check (progress between 0 and 1),
  arrays bytea,
  started_by uuid,
  started_at timestamptz not null default now(),
  -- a worker that is gone leaves it; another one goes on from the beginning
  held_until timestamptz,
  ended_at timestamptz,
  promoted_at timestamptz,
  retired_at timestamptz,
  primary key (org_id, id),
  unique (org_id, version)
);
create unique index models_one_champion on asoe.models (org_id) where state = 'champion';
create unique index models_one_training on asoe.models (org_id) where state = 'training';

alter table asoe.models enable row level security;
alter table asoe.models force row level security;
create policy models_staff on asoe.models for all to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_staff()));
grant select, insert, update (state, base_version, fingerprint, lessons, metrics, comparison, reason, progress, arrays, held_until,
  ended_at, promoted_at, retired_at) on asoe.models to asoe_app;
