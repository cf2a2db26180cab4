-- when: before deploy
-- Certificates of answers: the chance from which an answer may be sent alone, on how many cases that rests, and why it ended.

create table asoe.answer_certificates (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  category text not null,                         -- '': all of the organization together
  model text not null,
  threshold double precision,                     -- null: not enough evidence yet
  marginal_threshold double precision,
  level double precision not null check (level > 0 and level <= 1),
  delta double precision not null check (delta > 0 and delta <= 1),
  cases integer not null,
  errors integer not null,
  accepted integer not null,
  accepted_errors integer not null,
  audited integer not null,
  reference jsonb not null,                       -- tickets, out_of_scope and intents, as counts
  made_by uuid,
  made_at timestamptz not null,
  ended_at timestamptz,
  ended_why text check (ended_why in ('renewed', 'drift')),
  drift jsonb,
  primary key (org_id, id),
  check ((ended_at is null) = (ended_why is null))
);
create unique index answer_certificates_one on asoe.answer_certificates (org_id, category) where ended_at is null;
create index answer_certificates_ended on asoe.answer_certificates (org_id, ended_at desc) where ended_at is not null;

alter table asoe.answer_certificates enable row level security;
alter table asoe.answer_certificates force row level security;
create policy answer_certificates_staff on asoe.answer_certificates for all to asoe_app
  using (org_id = (select asoe.staff_org()));
grant select, insert, update (ended_at, ended_why, drift) on asoe.answer_certificates to asoe_app;
