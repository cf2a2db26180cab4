-- when: before deploy
-- What was imported from elsewhere, by the other system's id: an import that is repeated goes on where it ended.

create table asoe.imported_tickets (
  org_id uuid not null references public.organizations (id) on delete cascade,
  source text not null check (source in ('zendesk', 'chatwoot', 'csv')),
  external_id text not null check (length(external_id) between 1 and 200),
  ticket_id uuid not null,
  imported_at timestamptz not null default now(),
  primary key (org_id, source, external_id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
create index imported_tickets_ticket on asoe.imported_tickets (org_id, ticket_id);

alter table asoe.imported_tickets enable row level security;
alter table asoe.imported_tickets force row level security;
create policy imported_tickets_org on asoe.imported_tickets for all to asoe_app
  using (org_id = (select asoe.current_org()));
create policy imported_tickets_staff on asoe.imported_tickets as restrictive for all to asoe_app
  using ((select asoe.is_staff()));
grant select, insert on asoe.imported_tickets to asoe_app;
