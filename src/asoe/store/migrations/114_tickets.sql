-- when: before deploy
-- What ASOE adds to the contract tables, the rows beside them, and the clients' own view.

alter table public.support_tickets
  add column number bigint,
  add column subject text not null default '',
  add column body text not null default '',
  add column contact_id uuid,
  add column channel text not null default 'api',
  add column language text not null default 'und',
  add column intent text,
  add column triage jsonb not null default '{}',
  add column assignee uuid,
  add column team text,
  add column waiting_for text constraint support_tickets_waiting_check
    check (waiting_for in ('client', 'approval', 'timer', 'person')),
  add column merged_into uuid,
  add column is_spam boolean not null default false,
  add column tags text[] not null default '{}',
  add column cc text[] not null default '{}',
  add column custom_fields jsonb not null default '{}',
  add column reopened integer not null default 0,
  add column version integer not null default 1,
  add column updated_at timestamptz not null default now(),
  add column first_response_at timestamptz,
  add column resolved_at timestamptz,
  add column closed_at timestamptz,
  add column fingerprint bytea,
  -- an assignee is a member of the ticket's own organization
  add constraint support_tickets_assignee_fk foreign key (org_id, assignee) references asoe.members (org_id, user_id)
    on delete set null (assignee),
  add column search tsvector generated always as (
    setweight(to_tsvector('simple', left(subject, 500)), 'A') || to_tsvector('simple', left(body, 20000))) stored;

-- what stands beside a ticket refers to it by organization and id, what stands beside a session by its ticket too: a foreign
-- key sees every row, and would else let one organization hang its rows on the ticket of another
create unique index support_tickets_org_id on public.support_tickets (org_id, id);
create unique index support_sessions_id_ticket on public.support_sessions (id, ticket_id);
create unique index support_tickets_number on public.support_tickets (org_id, number);
create index support_tickets_page on public.support_tickets (org_id, created_at desc, id desc);
create index support_tickets_status_page on public.support_tickets (org_id, status, created_at desc, id desc);
create index support_tickets_assignee_page on public.support_tickets (org_id, assignee, created_at desc, id desc)
  where assignee is not null;
create index support_tickets_contact_page on public.support_tickets (org_id, contact_id, created_at desc)
  where contact_id is not null;
create index support_tickets_tags on public.support_tickets using gin (tags) where tags <> '{}';
create index support_tickets_fingerprint on public.support_tickets (org_id, fingerprint, created_at desc)
  where fingerprint is not null;
create index support_tickets_search on public.support_tickets using gin (search);

-- A number is short and per organization; a sequence keeps concurrent intakes from waiting for one another.
create function asoe.next_ticket_number(org uuid) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
  name text := 'ticket_number_' || replace(org::text, '-', '');
begin
  return nextval(format('asoe.%I', name)::regclass);
exception when undefined_table then
  perform pg_advisory_xact_lock(hashtext(name));
  execute format('create sequence if not exists asoe.%I', name);
  return nextval(format('asoe.%I', name)::regclass);
end
$$;
revoke all on function asoe.next_ticket_number(uuid) from public;

-- This runs before row-level security looks at the new row, and a sequence forgets nothing: outsiders are turned away here.
create function asoe.number_ticket() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select 1 from public.user_organizations where org_id = new.org_id and user_id = auth.uid())
    and not pg_has_role(session_user, current_user, 'usage') then
    raise insufficient_privilege using message = 'new row violates row-level security policy for table "support_tickets"';
  end if;
  new.number := asoe.next_ticket_number(new.org_id);
  return new;
end
$$;
create trigger support_tickets_number before insert on public.support_tickets
  for each row when (new.number is null) execute function asoe.number_ticket();

create function asoe.drop_ticket_numbers() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  execute format('drop sequence if exists asoe.%I', 'ticket_number_' || replace(old.org_id::text, '-', ''));
  return old;
end
$$;
create trigger organization_profiles_numbers after delete on asoe.organization_profiles
  for each row execute function asoe.drop_ticket_numbers();

create function asoe.touch_ticket() returns trigger language plpgsql set search_path = '' as $$
begin
  new.version := old.version + 1;
  new.updated_at := clock_timestamp();
  return new;
end
$$;
create trigger support_tickets_touch before update on public.support_tickets
  for each row execute function asoe.touch_ticket();

-- Counts without scanning: every change appends its difference; a job folds the rows. The sum always equals a recount.
create table asoe.ticket_tally (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id bigint generated always as identity,
  category text not null,
  status text not null,
  tickets bigint not null,
  resolved_timed bigint not null default 0,
  resolved_seconds double precision not null default 0,
  primary key (org_id, id)
);

create function asoe.tally_ticket() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'UPDATE' and old.org_id = new.org_id and old.category = new.category and old.status = new.status
    and old.resolved_at is not distinct from new.resolved_at and old.created_at is not distinct from new.created_at then
    return null;
  end if;
  if tg_op = 'UPDATE' and old.org_id = new.org_id then  -- one statement, since most of what happens to a ticket comes here
    insert into asoe.ticket_tally (org_id, category, status, tickets, resolved_timed, resolved_seconds)
    values (old.org_id, old.category, old.status, -1, case when old.resolved_at is null then 0 else -1 end,
        -coalesce(extract(epoch from old.resolved_at - old.created_at), 0)),
      (new.org_id, new.category, new.status, 1, case when new.resolved_at is null then 0 else 1 end,
        coalesce(extract(epoch from new.resolved_at - new.created_at), 0));
    return null;
  end if;
  if tg_op <> 'INSERT' and exists (select 1 from public.organizations where id = old.org_id) then
    insert into asoe.ticket_tally (org_id, category, status, tickets, resolved_timed, resolved_seconds)
    values (old.org_id, old.category, old.status, -1, case when old.resolved_at is null then 0 else -1 end,
      -coalesce(extract(epoch from old.resolved_at - old.created_at), 0));
  end if;
  if tg_op <> 'DELETE' then
    insert into asoe.ticket_tally (org_id, category, status, tickets, resolved_timed, resolved_seconds)
    values (new.org_id, new.category, new.status, 1, case when new.resolved_at is null then 0 else 1 end,
      coalesce(extract(epoch from new.resolved_at - new.created_at), 0));
  end if;
  return null;
end
$$;
create trigger support_tickets_tally after insert or update or delete on public.support_tickets
  for each row execute function asoe.tally_ticket();

create table asoe.session_messages (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  session_id uuid not null,
  ticket_id uuid not null,
  seq integer not null,
  role text not null check (role in ('user', 'assistant', 'agent', 'system')),
  content text not null,
  author uuid,
  is_internal boolean not null default false,
  data jsonb not null default '{}',
  created_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id, created_at),
  foreign key (session_id, ticket_id) references public.support_sessions (id, ticket_id) on delete cascade,
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
) partition by range (created_at);
create index session_messages_session on asoe.session_messages (session_id, seq);
create index session_messages_ticket on asoe.session_messages (org_id, ticket_id, created_at);

create table asoe.facts (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id bigint generated always as identity,
  xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  ticket_id uuid,
  session_id uuid,
  actor uuid,
  data jsonb not null default '{}',
  at timestamptz not null default clock_timestamp(),
  primary key (org_id, id, at)
) partition by range (at);
create index facts_cursor on asoe.facts (org_id, xid, id);
create index facts_ticket on asoe.facts (org_id, ticket_id, id) where ticket_id is not null;

-- One partition a month, made ahead; the default one catches what nobody prepared for, and hands it over when its month is made.
create function asoe.ensure_partitions(months_ahead integer default 3) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  parent text; key text; month date; part text; low text; high text; strays bigint; made integer := 0;
begin
  if months_ahead is null or months_ahead not between 0 and 24 then
    raise invalid_parameter_value using message = 'months_ahead: give 0 to 24 months';
  end if;
  perform pg_advisory_xact_lock(hashtext('asoe.ensure_partitions'));
  foreach parent in array array['session_messages', 'facts', 'agent_invocations'] loop
    if to_regclass('asoe.' || parent) is null then continue; end if;
    if to_regclass(format('asoe.%s_default', parent)) is null then
      execute format('create table asoe.%I partition of asoe.%I default', parent || '_default', parent);
      execute format('alter table asoe.%I enable row level security', parent || '_default');
      execute format('alter table asoe.%I force row level security', parent || '_default');
    end if;
    select a.attname into key from pg_partitioned_table p
      join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
      where p.partrelid = format('asoe.%I', parent)::regclass;
    for step in 0..months_ahead loop
      month := (date_trunc('month', now() at time zone 'utc') + make_interval(months => step))::date;
      part := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
      if to_regclass('asoe.' || part) is not null then continue; end if;
      low := month::text || ' 00:00:00+00';
      high := (month + interval '1 month')::date::text || ' 00:00:00+00';
      execute format('create table asoe.%I (like asoe.%I including defaults including generated including constraints)',
        part, parent);
      -- the rows only change their place: nothing may fire, and nothing may come after
      execute format('lock table asoe.%I in access exclusive mode', parent || '_default');
      execute format('alter table asoe.%I disable trigger user', parent || '_default');
      execute format('with stray as (delete from asoe.%I where %I >= %L and %I < %L returning *)
        insert into asoe.%I select * from stray', parent || '_default', key, low, key, high, part);
      get diagnostics strays = row_count;
      execute format('alter table asoe.%I enable trigger user', parent || '_default');
      execute format('alter table asoe.%I attach partition asoe.%I for values from (%L) to (%L)', parent, part, low, high);
      execute format('alter table asoe.%I enable row level security', part);
      execute format('alter table asoe.%I force row level security', part);
      if strays > 0 then
        raise notice '% rows of % were waiting in its default partition', strays, part;
      end if;
      made := made + 1;
    end loop;
  end loop;
  return made;
end
$$;
revoke all on function asoe.ensure_partitions(integer) from public;
grant execute on function asoe.ensure_partitions(integer) to asoe_app;

-- support_sessions.messages mirrors the client-visible messages and is written by nobody else. Its times are UTC, whatever
-- the writer's time zone.
create function asoe.mirror_session(session uuid) returns void
language sql security definer set search_path = '' set timezone = 'UTC' as $$
  update public.support_sessions s set messages = coalesce((
    select jsonb_agg(jsonb_build_object('id', m.id, 'seq', m.seq, 'role', m.role, 'content', m.content,
      'timestamp', m.created_at) order by m.seq, m.id)
    from asoe.session_messages m where m.session_id = s.id and not m.is_internal), '[]'::jsonb)
  where s.id = session
$$;

create function asoe.mirror_message() returns trigger
language plpgsql security definer set search_path = '' set timezone = 'UTC' as $$
begin
  if new.is_internal then
    return null;
  end if;
  update public.support_sessions set messages = coalesce(messages, '[]'::jsonb) || jsonb_build_array(jsonb_build_object(
    'id', new.id, 'seq', new.seq, 'role', new.role, 'content', new.content, 'timestamp', new.created_at))
  where id = new.session_id and coalesce((messages -> -1 ->> 'seq')::integer, 0) < new.seq;
  if not found then
    perform asoe.mirror_session(new.session_id);  -- it does not come last (an import)
  end if;
  return null;
end
$$;
create trigger session_messages_mirror after insert on asoe.session_messages
  for each row execute function asoe.mirror_message();

-- Erasure and redaction rewrite the text; the mirror is rebuilt from the rows.
create function asoe.remirror_session() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  perform asoe.mirror_session(old.session_id);
  if tg_op = 'UPDATE' and new.session_id <> old.session_id then
    perform asoe.mirror_session(new.session_id);
  end if;
  return null;
end
$$;
create trigger session_messages_remirror after update or delete on asoe.session_messages
  for each row execute function asoe.remirror_session();

create function asoe.guard_messages() returns trigger language plpgsql set search_path = '' as $$
begin
  -- a trigger of one's own (on a temporary table) does not make one the mirror
  if (pg_trigger_depth() < 2 or current_user in ('asoe_app', 'authenticated', 'service_role')) and (
    (tg_op = 'INSERT' and coalesce(new.messages, '[]'::jsonb) <> '[]'::jsonb)
    or (tg_op = 'UPDATE' and new.messages is distinct from old.messages)) then
    raise exception 'support_sessions.messages is a mirror and is not written directly'
      using errcode = 'restrict_violation',
        hint = 'Insert a row into asoe.session_messages, or POST /api/support/message/{sessionId}.';
  end if;
  return new;
end
$$;
create trigger support_sessions_guard before insert or update on public.support_sessions
  for each row execute function asoe.guard_messages();

-- The next seq under the session's lock. A client sees no internal notes, so counting is done by who sees all. Each question
-- is asked once: in one query the planner may ask who is staff for every ticket of the organization.
create function asoe.next_message_seq(session uuid) returns integer
language plpgsql volatile security definer set search_path = '' as $$
declare
  org uuid := asoe.current_org();
  ticket uuid := (select s.ticket_id from public.support_sessions s where s.id = session);
  owner_id uuid;
begin
  select t.user_id into owner_id from public.support_tickets t where t.id = ticket and t.org_id = org;
  if not found or (owner_id is distinct from auth.uid() and not asoe.is_staff()) then
    raise insufficient_privilege using message = 'no such session in your organization, or it is not yours';
  end if;
  perform pg_advisory_xact_lock(hashtextextended(session::text, 2));
  return (select coalesce(max(m.seq), 0) + 1 from asoe.session_messages m where m.session_id = session);
end
$$;
revoke all on function asoe.next_message_seq(uuid) from public;
grant execute on function asoe.next_message_seq(uuid) to asoe_app;

create table asoe.ticket_links (
  org_id uuid not null references public.organizations (id) on delete cascade,
  ticket_id uuid not null,
  other_id uuid not null,
  kind text not null check (kind in ('related', 'duplicate_of', 'follow_up_of', 'blocked_by')),
  created_by uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, ticket_id, other_id, kind),
  check (ticket_id <> other_id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade,
  foreign key (org_id, other_id) references public.support_tickets (org_id, id) on delete cascade
);

create table asoe.attachments (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  ticket_id uuid not null,
  message_id uuid,
  name text not null,
  media_type text not null,
  size integer not null check (size between 0 and 26214400),
  sha256 bytea not null,
  content bytea not null,
  is_internal boolean not null default false,
  created_by uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
alter table asoe.attachments alter column content set storage external;
create index attachments_ticket on asoe.attachments (org_id, ticket_id);

create table asoe.field_definitions (
  org_id uuid not null references public.organizations (id) on delete cascade,
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  type text not null check (type in ('text', 'number', 'boolean', 'date', 'choice')),
  choices text[] not null default '{}',
  is_required boolean not null default false,
  created_at timestamptz not null default now(),
  primary key (org_id, name)
);

create table asoe.blocked_senders (
  org_id uuid not null references public.organizations (id) on delete cascade,
  pattern text not null,
  reason text not null default '',
  created_by uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, pattern)
);

create table asoe.corrections (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  ticket_id uuid not null,
  field text not null check (field in ('category', 'severity', 'intent', 'resolution', 'answer')),
  judged text,
  corrected text not null,
  model_version text,
  corrected_by uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
create index corrections_ticket on asoe.corrections (org_id, ticket_id);

create table asoe.idempotency_keys (
  org_id uuid not null references public.organizations (id) on delete cascade,
  user_id uuid not null,
  key text not null check (length(key) between 1 and 255),
  request bytea not null,
  status integer not null,
  response jsonb not null,
  created_at timestamptz not null default now(),
  primary key (org_id, user_id, key)
);
create index idempotency_keys_age on asoe.idempotency_keys (created_at);

-- Row-level security of the rows beside a ticket: staff see the organization's, a client what belongs to its own tickets.
do $policies$
declare t text;
begin
  foreach t in array array['ticket_tally', 'session_messages', 'facts', 'ticket_links', 'attachments',
    'field_definitions', 'blocked_senders', 'corrections', 'idempotency_keys'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app using (org_id = (select asoe.current_org()))',
      t || '_org', t);
  end loop;
  foreach t in array array['ticket_tally', 'field_definitions', 'blocked_senders', 'corrections', 'ticket_links'] loop
    execute format('create policy %I on asoe.%I as restrictive for all to asoe_app using ((select asoe.is_staff()))',
      t || '_staff', t);
  end loop;
end
$policies$;

create policy session_messages_client on asoe.session_messages as restrictive for select to asoe_app
  using ((select asoe.is_staff()) or (not is_internal
    and exists (select 1 from public.support_tickets t where t.id = ticket_id offset 0)));
create policy session_messages_client_write on asoe.session_messages as restrictive for insert to asoe_app
  with check ((select asoe.is_staff()) or (role = 'user' and not is_internal and author = (select auth.uid())
    and exists (select 1 from public.support_tickets t where t.id = ticket_id offset 0)));
create policy session_messages_rewrite on asoe.session_messages as restrictive for update to asoe_app
  using ((select asoe.is_staff()));
create policy session_messages_remove on asoe.session_messages as restrictive for delete to asoe_app
  using ((select asoe.is_staff()));
create policy facts_client on asoe.facts as restrictive for select to asoe_app
  using ((select asoe.is_staff()) or exists (select 1 from public.support_tickets t where t.id = ticket_id offset 0));
create policy attachments_client on asoe.attachments as restrictive for all to asoe_app
  using ((select asoe.is_staff()) or (not is_internal
    and exists (select 1 from public.support_tickets t where t.id = ticket_id offset 0)));
create policy idempotency_keys_own on asoe.idempotency_keys as restrictive for all to asoe_app
  using (user_id = (select auth.uid()) or (select asoe.current_role()) = 'engine');

grant select on asoe.ticket_tally to asoe_app;
grant select, insert, update (content, data), delete on asoe.session_messages to asoe_app;
-- id and xid are the readers' cursor: no writer chooses them
grant select, insert (org_id, kind, ticket_id, session_id, actor, data, at) on asoe.facts to asoe_app;
grant select, insert, delete on asoe.ticket_links, asoe.blocked_senders to asoe_app;
grant select, insert, delete on asoe.attachments to asoe_app;
grant select, insert, update (type, choices, is_required), delete on asoe.field_definitions to asoe_app;
grant select, insert on asoe.corrections to asoe_app;
grant select, insert, delete on asoe.idempotency_keys to asoe_app;

-- Folding the tally is the only delete of it: it replaces the rows it saw by their sum.
create function asoe.fold_tally() returns bigint language plpgsql security definer set search_path = '' as $$
declare
  org uuid := asoe.current_org(); folded bigint;
begin
  if org is null or not asoe.is_staff() then
    raise insufficient_privilege using message = 'only staff or the engine of the organization may fold its tally';
  end if;
  with gone as (
    delete from asoe.ticket_tally where org_id = org
    returning category, status, tickets, resolved_timed, resolved_seconds
  ), kept as (
    insert into asoe.ticket_tally (org_id, category, status, tickets, resolved_timed, resolved_seconds)
    select org, category, status, sum(tickets), sum(resolved_timed), sum(resolved_seconds)
    from gone group by category, status having sum(tickets) <> 0 or sum(resolved_timed) <> 0
  )
  select count(*) into folded from gone;
  return folded;
end
$$;
revoke all on function asoe.fold_tally() from public;
grant execute on function asoe.fold_tally() to asoe_app;

-- The contract tables: forced, and clients see and write only their own.
alter table public.support_tickets force row level security;
alter table public.support_sessions force row level security;

create policy support_tickets_client on public.support_tickets as restrictive for all to authenticated
  using (org_id in (select asoe.staff_orgs())
    or (user_id = (select auth.uid()) and org_id not in (select asoe.disabled_orgs())))
  with check (org_id in (select asoe.staff_orgs())
    or (user_id = (select auth.uid()) and org_id not in (select asoe.disabled_orgs())));
-- a client changes no column directly
create policy support_tickets_client_update on public.support_tickets as restrictive for update to authenticated
  using (org_id in (select asoe.staff_orgs()));
create policy support_tickets_delete on public.support_tickets for delete to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_staff()));
-- through the service a transaction acts for one organization, whatever else its principal belongs to
create policy support_tickets_app on public.support_tickets as restrictive for all to asoe_app
  using (org_id = (select asoe.current_org()));

-- the inner select sees only tickets that the policies above let through; for `offset 0` see migration 112
create policy support_sessions_client on public.support_sessions as restrictive for all to authenticated
  using (exists (select 1 from public.support_tickets t where t.id = ticket_id offset 0))
  with check (exists (select 1 from public.support_tickets t where t.id = ticket_id offset 0));
create policy support_sessions_client_update on public.support_sessions as restrictive for update to authenticated
  using (exists (select 1 from public.support_tickets t where t.id = ticket_id
    and t.org_id in (select asoe.staff_orgs()) offset 0));

-- default privileges of a database that was there before (Supabase) may give everything to everyone
revoke all on public.support_tickets, public.support_sessions from public, anon, authenticated;
grant select, insert, update on public.support_tickets, public.support_sessions to asoe_app;
grant delete on public.support_tickets to asoe_app;
-- numbers, triage and clocks are the service's
grant select on public.support_tickets, public.support_sessions to authenticated;
grant insert (id, org_id, user_id, category, severity, status, resolution, metadata, created_at, subject, body, language, cc,
  tags), update (category, severity, status, resolution, metadata, subject, assignee, team, tags, cc, custom_fields, is_spam)
  on public.support_tickets to authenticated;
grant insert (id, ticket_id, assistant_type, messages, resolved, created_at), update (assistant_type, messages, resolved)
  on public.support_sessions to authenticated;

-- Full-text operators are not leakproof, so under row-level security their index would never be used. This function
-- asks the same two questions first (which organization, whose tickets) and then uses it.
create function asoe.search_ticket_ids(query text, max_rows integer) returns table (id uuid)
language plpgsql stable security definer set search_path = '' as $$
declare
  org uuid := asoe.current_org();
  caller uuid := auth.uid();
  staff boolean := asoe.is_staff();
begin
  return query
    select t.id from public.support_tickets t
    where t.org_id = org and (staff or t.user_id = caller)
      and t.search @@ websearch_to_tsquery('simple', query)
    order by t.created_at desc, t.id desc
    limit least(max_rows, 2000);
end
$$;
revoke all on function asoe.search_ticket_ids(text, integer) from public;
grant execute on function asoe.search_ticket_ids(text, integer) to asoe_app;

revoke all on all functions in schema asoe from public;

select asoe.ensure_partitions();
