-- when: before deploy
-- Recommendations: what is worth doing, on which evidence, who decided, and what came of it. Ids, classes and counts; no text.

create table asoe.recommendations (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  number integer not null check (number > 0),
  kind text not null check (kind in ('article', 'runbook', 'promote', 'brake', 'connector', 'client')),
  key text not null,                              -- what it is about: a runbook, a connector, a client, the first ticket of a group
  status text not null default 'open' check (status in ('open', 'accepted', 'dismissed', 'gone')),
  weight integer not null default 0,              -- cases in the window
  clients integer not null default 0,
  detail jsonb not null default '{}',
  gain jsonb,
  tickets uuid[] not null default '{}',           -- examples, newest first; a ticket may be gone meanwhile
  vector bytea,                                   -- of a group's first ticket: 384 halves
  first_seen_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  decided_at timestamptz,
  decided_by uuid,
  decided_weight integer not null default 0,
  reason text not null default '',
  outcome jsonb,
  primary key (org_id, id),
  unique (org_id, number),
  unique (org_id, kind, key),
  check (status in ('open', 'gone') or decided_at is not null)
);

-- when an organization was last looked at
create table asoe.recommendation_looks (
  org_id uuid primary key references public.organizations (id) on delete cascade,
  looked_at timestamptz not null
);

do $policies$
declare t text;
begin
  foreach t in array array['recommendations', 'recommendation_looks'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.staff_org()))', t || '_staff', t);
  end loop;
end
$policies$;
grant select, insert, update (status, weight, clients, detail, gain, tickets, vector, seen_at, decided_at, decided_by,
  decided_weight, reason, outcome), delete on asoe.recommendations to asoe_app;
grant select, insert, update (looked_at) on asoe.recommendation_looks to asoe_app;
