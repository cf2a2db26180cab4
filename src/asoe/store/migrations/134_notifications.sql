-- when: before deploy
-- Notifications: what people want to hear and where, webhooks, the mailbox, and one delivery for each fact, channel and recipient.

create table asoe.webhooks (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  kind text not null check (kind in ('signed', 'slack')),
  name text not null,
  place text not null,                            -- where it leads, as people may see it: without what could be a secret
  sealed bytea not null,                          -- url and signing secrets, encrypted with a key derived from the secret key
  events text[] not null,
  allow_private boolean not null default false,
  disabled_at timestamptz,
  disabled_why text,
  created_by uuid,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  unique (org_id, name)
);

create table asoe.mailboxes (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  address text not null,
  name text not null default '',
  config jsonb not null default '{}',             -- smtp and imap: host, port, tls, user
  sealed bytea,                                   -- their passwords
  allow_private boolean not null default false,
  updated_by uuid,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  unique (org_id)
);

create table asoe.notification_preferences (
  org_id uuid not null,
  user_id uuid not null,
  choices jsonb not null default '{}',            -- fact → channels; what is not in it is as usual
  quiet_from time,
  quiet_until time,
  zone text not null default 'UTC',
  is_urgent_always boolean not null default true,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (org_id, user_id),
  foreign key (org_id, user_id) references asoe.members (org_id, user_id) on delete cascade,
  check ((quiet_from is null) = (quiet_until is null))
);

-- up to which fact an organization's notifications were made
create table asoe.notification_cursors (
  org_id uuid not null references public.organizations (id) on delete cascade,
  xid xid8 not null default '0',
  fact_id bigint not null default 0,
  primary key (org_id)
);

create table asoe.deliveries (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null,                               -- a hash of fact, channel and recipient: one row each, and the stable part of every message id
  fact_id bigint not null,
  kind text not null,
  happened_at timestamptz not null,
  ticket_id uuid,
  channel text not null check (channel in ('in_app', 'email', 'webhook')),
  recipient text not null,                        -- person:ID, contact:ID or webhook:ID
  data jsonb not null default '{}',               -- the fact's ids and classes
  status text not null default 'pending' check (status in ('pending', 'sending', 'delivered', 'dead')),
  attempts integer not null default 0,
  due_at timestamptz not null,
  claimed_until timestamptz,
  trouble text,
  created_at timestamptz not null default clock_timestamp(),
  delivered_at timestamptz,
  read_at timestamptz,
  primary key (org_id, id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
create index deliveries_due on asoe.deliveries (due_at) where status in ('pending', 'sending');
create index deliveries_newest on asoe.deliveries (org_id, created_at desc, id);
create index deliveries_inbox on asoe.deliveries (org_id, recipient, happened_at desc) where channel = 'in_app';
create index deliveries_unread on asoe.deliveries (org_id, recipient) where channel = 'in_app' and read_at is null;
create index deliveries_ticket on asoe.deliveries (org_id, ticket_id) where ticket_id is not null;

do $policies$
declare t text;
begin
  foreach t in array array['webhooks', 'mailboxes', 'notification_preferences', 'notification_cursors', 'deliveries'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.staff_org()))', t || '_staff', t);
  end loop;
end
$policies$;
create policy notification_preferences_own on asoe.notification_preferences as restrictive for all to asoe_app
  using (user_id = (select auth.uid()) or (select asoe.current_role()) in ('engine', 'owner', 'admin'));

grant select, insert, update (name, place, sealed, events, allow_private, disabled_at, disabled_why, updated_at), delete
  on asoe.webhooks to asoe_app;
grant select, insert, update (address, name, config, sealed, allow_private, updated_by, updated_at), delete
  on asoe.mailboxes to asoe_app;
grant select, insert, update (choices, quiet_from, quiet_until, zone, is_urgent_always, updated_at), delete
  on asoe.notification_preferences to asoe_app;
grant select, insert, update (xid, fact_id) on asoe.notification_cursors to asoe_app;
grant select, insert, update (status, attempts, due_at, claimed_until, trouble, delivered_at, read_at), delete
  on asoe.deliveries to asoe_app;

-- What happened before there were notifications is news to nobody.
insert into asoe.notification_cursors (org_id, xid) select org_id, pg_current_xact_id() from asoe.organization_profiles;

-- Organizations with facts nobody was told of yet: ids only.
create function asoe.system_with_news(max_rows integer) returns table (org_id uuid)
language sql stable security definer set search_path = '' as $$
  select p.org_id
  from asoe.organization_profiles p left join asoe.notification_cursors c on c.org_id = p.org_id
  where p.suspended_at is null and exists (select from asoe.facts f
    where f.org_id = p.org_id and (f.xid, f.id) > (coalesce(c.xid, '0'), coalesce(c.fact_id, 0))
      and f.xid < pg_snapshot_xmin(pg_current_snapshot()))
  limit max_rows
$$;

-- Deliveries that should be tried (again), or whose worker is gone: ids only.
create function asoe.system_due_deliveries(max_rows integer) returns table (org_id uuid, delivery_id uuid)
language sql stable security definer set search_path = '' as $$
  select d.org_id, d.id
  from asoe.deliveries d join asoe.organization_profiles p on p.org_id = d.org_id
  where d.status in ('pending', 'sending') and d.due_at <= now() and p.suspended_at is null
    and (d.status = 'pending' or d.claimed_until <= now())
  order by d.due_at limit max_rows
$$;
do $grants$
declare f text;
begin
  foreach f in array array['asoe.system_with_news(integer)', 'asoe.system_due_deliveries(integer)'] loop
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to asoe_system', f);
  end loop;
end
$grants$;

-- A job may name a delivery.
alter table queue.pgqueuer drop constraint payload_ids_only;
alter table queue.pgqueuer add constraint payload_ids_only check (payload is not null and convert_from(payload, 'UTF8') ~
  '^\{("(org_id|ticket_id|session_id|article_id|run_id|export_id|delivery_id)":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"(,"(org_id|ticket_id|session_id|article_id|run_id|export_id|delivery_id)":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")*)?\}$');
