-- when: before deploy
-- The client's chat widget: how an organization shows it, and on whose pages. The secret that signs clients is derived from the
-- installation's secret key and the salt, and stands nowhere.

create table asoe.widgets (
  org_id uuid primary key references public.organizations (id) on delete cascade,
  is_on boolean not null default false,
  takes_anonymous boolean not null default false,
  shows_help boolean not null default false,
  origins text[] not null default '{}',
  theme text not null default 'auto' check (theme in ('auto', 'light', 'dark')),
  accent text not null default '#3a5bc7' check (accent ~ '^#[0-9a-f]{6}$'),
  greetings jsonb not null default '{}',
  salt bytea,
  secret_made_at timestamptz,
  earlier_salt bytea,
  earlier_until timestamptz,
  changed_at timestamptz not null default now()
);
alter table asoe.widgets enable row level security;
alter table asoe.widgets force row level security;
create policy widgets_org on asoe.widgets for all to asoe_app using (org_id = (select asoe.current_org()));
create policy widgets_staff on asoe.widgets as restrictive for all to asoe_app using ((select asoe.is_staff()));
create policy widgets_add on asoe.widgets as restrictive for insert to asoe_app
  with check ((select asoe.is_admin()));
create policy widgets_change on asoe.widgets as restrictive for update to asoe_app
  using ((select asoe.is_admin()));
grant select, insert on asoe.widgets to asoe_app;
grant update (is_on, takes_anonymous, shows_help, origins, theme, accent, greetings, salt, secret_made_at, earlier_salt,
  earlier_until, changed_at) on asoe.widgets to asoe_app;
