-- when: before deploy
-- What was last wrong with a connector, and until when it is left alone: written by whichever process met it, read by people.

create table asoe.connector_troubles (
  org_id uuid not null,
  connector_id uuid not null,
  at timestamptz not null default clock_timestamp(),
  detail text not null,
  paused_until timestamptz,
  ended_at timestamptz,                            -- it answered that process again
  primary key (org_id, connector_id),
  foreign key (org_id, connector_id) references asoe.connectors (org_id, id) on delete cascade
);
alter table asoe.connector_troubles enable row level security;
alter table asoe.connector_troubles force row level security;
create policy connector_troubles_staff on asoe.connector_troubles for all to asoe_app
  using (org_id = (select asoe.staff_org()));
grant select, insert, update (at, detail, paused_until, ended_at) on asoe.connector_troubles to asoe_app;
