-- when: before deploy
-- Saved views of the queue: a name for filters, for oneself or for the whole team.

create table asoe.saved_views (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,                          -- whose it is
  name text not null check (length(name) between 1 and 60),
  filters jsonb not null default '{}',            -- name of a filter → value, as the queue's address has them
  is_shared boolean not null default false,
  created_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  unique (org_id, user_id, name),
  foreign key (org_id, user_id) references asoe.members (org_id, user_id) on delete cascade
);
create index saved_views_shared on asoe.saved_views (org_id) where is_shared;

alter table asoe.saved_views enable row level security;
alter table asoe.saved_views force row level security;
create policy saved_views_staff on asoe.saved_views for all to asoe_app using (org_id = (select asoe.staff_org()));
-- another's view is seen when it is shared, and taken away by admins only
create policy saved_views_seen on asoe.saved_views as restrictive for select to asoe_app
  using (is_shared or user_id = (select auth.uid()));
create policy saved_views_own_insert on asoe.saved_views as restrictive for insert to asoe_app
  with check (user_id = (select auth.uid()));
create policy saved_views_own_update on asoe.saved_views as restrictive for update to asoe_app
  using (user_id = (select auth.uid()));
create policy saved_views_own_delete on asoe.saved_views as restrictive for delete to asoe_app
  using (user_id = (select auth.uid()) or (is_shared and (select asoe.current_role()) in ('owner', 'admin')));
grant select, insert, update (filters, is_shared), delete on asoe.saved_views to asoe_app;
