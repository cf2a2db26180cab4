-- when: before deploy
-- Spikes: what is expected of each intent by hour of the week, and how far its watch has counted.

create table asoe.spike_watches (
  org_id uuid not null references public.organizations (id) on delete cascade,
  intent text not null,
  rates double precision[] not null,              -- tickets an hour, by hour of the week (Monday 00 UTC first)
  spread double precision not null,
  threshold double precision not null,
  state double precision[] not null,
  counted_until timestamptz not null,
  learned_at timestamptz not null,
  alarmed_at timestamptz,
  primary key (org_id, intent)
);
alter table asoe.spike_watches enable row level security;
alter table asoe.spike_watches force row level security;
create policy spike_watches_staff on asoe.spike_watches for all to asoe_app
  using (org_id = (select asoe.staff_org()));
grant select, insert, delete, update (rates, spread, threshold, state, counted_until, learned_at, alarmed_at)
  on asoe.spike_watches to asoe_app;
