-- when: before deploy
-- Mails that came in: each once, with what it was taken for and where it went; and how far a mailbox was fetched.

create table asoe.mails (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null,                               -- a hash of its Message-ID: each mail once
  message_id text not null,
  sender_hash bytea not null,                     -- to count a sender's mails; who it is stands on the contact
  kind text not null check (kind in ('opened', 'added', 'auto_reply', 'bounce', 'list', 'loop', 'refused')),
  reason text,
  ticket_id uuid,
  is_verified boolean not null default false,
  authentication jsonb,
  files_kept boolean not null default false,      -- whether its files are attached: a worker may die before
  received_at timestamptz not null,
  primary key (org_id, id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
create index mails_ticket on asoe.mails (org_id, ticket_id, received_at) where ticket_id is not null;
create index mails_sender on asoe.mails (org_id, sender_hash, received_at);

alter table asoe.mails enable row level security;
alter table asoe.mails force row level security;
create policy mails_staff on asoe.mails for all to asoe_app using (org_id = (select asoe.staff_org()));
grant select, insert, update (files_kept), delete on asoe.mails to asoe_app;

alter table asoe.mailboxes
  add column fetched_validity bigint,
  add column fetched_uid bigint not null default 0,
  add column fetched_at timestamptz,
  add column fetch_trouble text,
  add column fetch_tries integer not null default 0;
grant update (fetched_validity, fetched_uid, fetched_at, fetch_trouble, fetch_tries) on asoe.mailboxes to asoe_app;
