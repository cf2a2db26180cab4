-- when: before deploy
-- Handing over is a row: who must look, why, and the dossier. Clients never see it.

create table asoe.escalations (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  ticket_id uuid not null,
  reasons text[] not null check (cardinality(reasons) > 0),
  team text not null,
  dossier jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  taken_by uuid,
  taken_at timestamptz,
  ended_at timestamptz,
  primary key (org_id, id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
create index escalations_ticket on asoe.escalations (org_id, ticket_id, created_at);
-- a ticket waits for one person at a time, however often its journey is woken
create unique index escalations_one_open on asoe.escalations (org_id, ticket_id) where ended_at is null;

alter table asoe.escalations enable row level security;
alter table asoe.escalations force row level security;
create policy escalations_staff on asoe.escalations for all to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_staff()));
grant select, insert, update (reasons, team, dossier, taken_by, taken_at, ended_at) on asoe.escalations to asoe_app;
