-- when: before deploy
-- Alerts of monitoring systems: where they come from with what proves it, and each alert as it was last told.

create table asoe.alert_sources (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null,
  kind text not null check (kind in ('alertmanager', 'grafana', 'generic')),
  proof text not null check (proof in ('bearer', 'hmac', 'standard')),
  sealed bytea not null,                          -- the secret, encrypted with a key derived from the secret key
  created_by uuid,
  created_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  unique (org_id, name)
);

create table asoe.alerts (
  org_id uuid not null,
  source_id uuid not null,
  fingerprint text not null,
  is_firing boolean not null,
  starts_at timestamptz not null,
  ends_at timestamptz,
  title text not null default '',
  labels jsonb not null default '{}',
  incident_id uuid,
  seen_at timestamptz not null default clock_timestamp(),
  primary key (org_id, source_id, fingerprint),
  foreign key (org_id, source_id) references asoe.alert_sources (org_id, id) on delete cascade,
  foreign key (org_id, incident_id) references asoe.incidents (org_id, id) on delete cascade
);
create index alerts_incident on asoe.alerts (org_id, incident_id) where incident_id is not null;

do $policies$
declare t text;
begin
  foreach t in array array['alert_sources', 'alerts'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.staff_org()))', t || '_staff', t);
  end loop;
end
$policies$;
grant select, insert, update (sealed), delete on asoe.alert_sources to asoe_app;
grant select, insert, update (is_firing, starts_at, ends_at, title, labels, incident_id, seen_at) on asoe.alerts to asoe_app;
