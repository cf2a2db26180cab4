-- when: before deploy
-- Corrections say what stood there before as well, teams are corrected too, and a client's complaint about the engine is a candidate.

alter table asoe.corrections add column before text;
alter table asoe.corrections drop constraint corrections_field_check;
alter table asoe.corrections add constraint corrections_field_check
  check (field in ('category', 'severity', 'intent', 'team', 'resolution', 'answer'));
create index corrections_newest on asoe.corrections (org_id, created_at desc);

-- A client says that the engine sorted or answered wrongly. What is right a person says: until then it teaches nothing.
create table asoe.complaints (
  org_id uuid not null references public.organizations (id) on delete cascade,
  ticket_id uuid not null,
  -- what the engine had said of the client's tickets: ids and classes
  about jsonb not null default '{}',
  model_version text,
  created_at timestamptz not null default now(),
  -- the model in which a person's correction of it was learned
  learned_in uuid,
  primary key (org_id, ticket_id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
alter table asoe.complaints enable row level security;
alter table asoe.complaints force row level security;
create policy complaints_staff on asoe.complaints for all to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_staff()));
grant select, insert, update (learned_in) on asoe.complaints to asoe_app;
