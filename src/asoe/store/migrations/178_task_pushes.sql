-- when: before deploy
-- Where outside agents want to hear how their tasks go: addresses and what proves us there are sealed. The engine writes and
-- reads them, which has checked whose the ticket is; owners and admins read them in exports.

create table asoe.task_pushes (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  ticket_id uuid not null,
  user_id uuid not null,                          -- whose task it is
  name text not null check (length(name) between 1 and 100),
  place text not null,                            -- where it leads, without what could be a secret
  sealed bytea not null,
  allow_private boolean not null default false,
  created_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  unique (org_id, ticket_id, name),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade,
  foreign key (org_id, user_id) references asoe.members (org_id, user_id) on delete cascade
);
create index task_pushes_user on asoe.task_pushes (org_id, user_id);

alter table asoe.task_pushes enable row level security;
alter table asoe.task_pushes force row level security;
create policy task_pushes_staff on asoe.task_pushes for all to asoe_app using (org_id = (select asoe.staff_org()));
create policy task_pushes_few on asoe.task_pushes as restrictive for all to asoe_app
  using ((select asoe.current_role()) in ('engine', 'owner', 'admin'));
grant select, insert, update (place, sealed, allow_private), delete on asoe.task_pushes to asoe_app;
