-- when: before deploy
-- People working together on tickets: texts they send often, and who is looking at a ticket or writing on it just now.

create table asoe.canned_replies (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null,
  title text not null,
  body text not null,
  language text,
  created_by uuid,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  unique (org_id, name)
);

-- A row is worth something for some seconds only; nobody asks about it later, so it is no fact.
create table asoe.presences (
  org_id uuid not null,
  ticket_id uuid not null,
  user_id uuid not null,
  state text not null check (state in ('viewing', 'writing')),
  since timestamptz not null default clock_timestamp(),
  changed_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  primary key (org_id, ticket_id, user_id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade,
  foreign key (org_id, user_id) references asoe.members (org_id, user_id) on delete cascade
);
create index presences_changed on asoe.presences (org_id, changed_at);

do $policies$
declare t text;
begin
  foreach t in array array['canned_replies', 'presences'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.staff_org()))', t || '_staff', t);
  end loop;
end
$policies$;
-- nobody is somewhere in another's name
create policy presences_own_insert on asoe.presences as restrictive for insert to asoe_app
  with check (user_id = (select auth.uid()));
create policy presences_own_update on asoe.presences as restrictive for update to asoe_app
  using (user_id = (select auth.uid()));
create policy presences_own_delete on asoe.presences as restrictive for delete to asoe_app
  using (user_id = (select auth.uid()) or (select asoe.current_role()) = 'engine');

grant select, insert, update (name, title, body, language, updated_at), delete on asoe.canned_replies to asoe_app;
grant select, insert, update (state, since, changed_at, seen_at), delete on asoe.presences to asoe_app;
