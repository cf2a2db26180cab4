-- when: before deploy
-- Wishes: what clients want and no article offers, and who wants it. A wish that is merged stays, so that it can be split again.

create table asoe.wishes (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  number integer not null check (number > 0),
  title text not null,
  -- of the client who wished it first, redacted, and the ticket they stood in
  words text not null default '',
  words_of uuid,
  language text not null default 'und',
  status text not null default 'open' check (status in ('open', 'planned', 'shipped', 'declined', 'merged')),
  merged_into uuid,
  -- of the words: 384 halves; they are compared whole, so that there is no index to be approximate
  embedding bytea not null,
  -- a person who wrote the title: it is no client's any more
  titled_by uuid,
  -- what supporters are told when it ships
  note text not null default '',
  shipped_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  unique (org_id, number),
  check (status <> 'merged' or merged_into is not null),
  check (status <> 'shipped' or shipped_at is not null),
  foreign key (org_id, merged_into) references asoe.wishes (org_id, id)
);
create index wishes_wanted on asoe.wishes (org_id, number) where status in ('open', 'planned');

create table asoe.wish_supporters (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  wish_id uuid not null,
  -- the wish it was recorded with, whatever that was merged into later
  recorded_with uuid not null,
  -- null: the ticket is gone, its client counts all the same
  ticket_id uuid,
  -- who counts once: contact, account or ticket
  client text not null,
  plan text,
  -- to the wish's words when it was recorded; null: the first who wished it
  likeness real,
  created_at timestamptz not null default now(),
  told_at timestamptz,
  primary key (org_id, id),
  foreign key (org_id, wish_id) references asoe.wishes (org_id, id) on delete cascade,
  foreign key (org_id, recorded_with) references asoe.wishes (org_id, id) on delete cascade,
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete set null (ticket_id)
);
-- a ticket speaks for one wish
create unique index wish_supporters_ticket on asoe.wish_supporters (org_id, ticket_id) where ticket_id is not null;
create index wish_supporters_wish on asoe.wish_supporters (org_id, wish_id);

alter table asoe.wishes enable row level security;
alter table asoe.wishes force row level security;
create policy wishes_staff on asoe.wishes for all to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_staff()));
alter table asoe.wish_supporters enable row level security;
alter table asoe.wish_supporters force row level security;
create policy wish_supporters_staff on asoe.wish_supporters for all to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_staff()));
grant select, insert, update (title, words, status, merged_into, titled_by, note, shipped_at) on asoe.wishes to asoe_app;
grant select, insert, update (wish_id, recorded_with, told_at) on asoe.wish_supporters to asoe_app;
