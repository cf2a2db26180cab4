-- when: before deploy
-- An organization's own intents: name, category, what they mean, examples, and the vectors of these words.

create table asoe.org_intents (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null check (name ~ '^[a-z][a-z0-9_]{1,62}$'),
  category text not null check (category in ('billing', 'technical', 'feature_request', 'bug_report', 'account', 'integration',
    'performance', 'general')),
  title text not null check (length(title) between 1 and 100),
  description text not null default '' check (length(description) <= 500),
  examples text[] not null default '{}' check (cardinality(examples) <= 20),
  vectors bytea not null,                         -- float16: title, description if any, examples, each of 384 numbers
  base_version text not null,                     -- the shared model whose encoder made them
  created_by uuid,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  retired_at timestamptz,
  primary key (org_id, id),
  unique (org_id, name)
);

alter table asoe.org_intents enable row level security;
alter table asoe.org_intents force row level security;
create policy org_intents_staff on asoe.org_intents for all to asoe_app
  using (org_id = (select asoe.staff_org()));
grant select, insert, update (title, description, examples, vectors, base_version, updated_at, retired_at) on asoe.org_intents to asoe_app;
