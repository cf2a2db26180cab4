-- when: before deploy
-- Topics: what an organization's tickets are about. A topic keeps its number and name while its tickets come and go; the vector of each
-- ticket's redacted words is kept while the ticket is among those looked at, so that it is made once.

create table asoe.topics (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  number integer not null check (number > 0),
  -- words that several of its clients wrote
  name text not null,
  -- the mean of its tickets' vectors: 384 halves
  center bytea not null,
  split_from uuid,
  merged_into uuid,
  begun_at timestamptz not null default now(),
  ended_at timestamptz,
  primary key (org_id, id),
  unique (org_id, number),
  foreign key (org_id, split_from) references asoe.topics (org_id, id),
  foreign key (org_id, merged_into) references asoe.topics (org_id, id)
);

create table asoe.topic_tickets (
  org_id uuid not null references public.organizations (id) on delete cascade,
  ticket_id uuid not null,
  -- null: of no topic
  topic_id uuid,
  -- to the topic's center
  likeness real,
  embedding bytea not null,
  primary key (org_id, ticket_id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade,
  foreign key (org_id, topic_id) references asoe.topics (org_id, id) on delete set null (topic_id)
);
create index topic_tickets_topic on asoe.topic_tickets (org_id, topic_id, likeness desc) where topic_id is not null;

-- When topics were found last, and since when somebody is at it.
create table asoe.topic_searches (
  org_id uuid primary key references public.organizations (id) on delete cascade,
  begun_at timestamptz,
  ended_at timestamptz,
  tickets integer not null default 0
);

do $policies$
declare t text;
begin
  foreach t in array array['topics', 'topic_tickets', 'topic_searches'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.staff_org()))', t || '_staff', t);
  end loop;
end
$policies$;

grant select, insert, update (name, center, split_from, merged_into, ended_at) on asoe.topics to asoe_app;
grant select, insert, delete, update (topic_id, likeness) on asoe.topic_tickets to asoe_app;
grant select, insert, update (begun_at, ended_at, tickets) on asoe.topic_searches to asoe_app;
