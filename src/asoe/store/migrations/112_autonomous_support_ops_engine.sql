-- when: before deploy
-- Autonomous Support & Ops Engine: the two contract tables. Later migrations add to them and rename nothing.

create table public.support_tickets (
  id uuid primary key default uuid_generate_v4(),
  org_id uuid not null,
  user_id uuid,
  category text not null,
  severity text not null default 'medium',
  status text not null default 'open',
  resolution jsonb default '{}',
  metadata jsonb default '{}',
  created_at timestamptz default now(),
  constraint support_tickets_org_fk foreign key (org_id) references public.organizations (id) on delete cascade,
  constraint support_tickets_user_fk foreign key (user_id) references auth.users (id) on delete set null,
  constraint support_tickets_category_check check (category in (
    'billing', 'technical', 'feature_request', 'bug_report', 'account', 'integration', 'performance', 'general')),
  constraint support_tickets_severity_check check (severity in ('low', 'medium', 'high', 'critical')),
  constraint support_tickets_status_check check (status in (
    'open', 'triaging', 'in_progress', 'resolved', 'escalated', 'closed'))
);

create index idx_support_tickets_org on public.support_tickets (org_id);
create index idx_support_tickets_user on public.support_tickets (user_id);
create index idx_support_tickets_category on public.support_tickets (category);
create index idx_support_tickets_severity on public.support_tickets (severity);
create index idx_support_tickets_status on public.support_tickets (status);
create index idx_support_tickets_created on public.support_tickets (created_at desc);

alter table public.support_tickets enable row level security;

create policy support_tickets_select on public.support_tickets for select to authenticated
  using (org_id in (select org_id from public.user_organizations where user_id = (select auth.uid())));
create policy support_tickets_insert on public.support_tickets for insert to authenticated
  with check (org_id in (select org_id from public.user_organizations where user_id = (select auth.uid())));
create policy support_tickets_update on public.support_tickets for update to authenticated
  using (org_id in (select org_id from public.user_organizations where user_id = (select auth.uid())));

comment on table public.support_tickets is 'Support tickets with AI triage (Phase 60)';

create table public.support_sessions (
  id uuid primary key default uuid_generate_v4(),
  ticket_id uuid not null,
  assistant_type text not null default 'ai',
  messages jsonb default '[]',
  resolved boolean not null default false,
  created_at timestamptz default now(),
  constraint support_sessions_ticket_fk foreign key (ticket_id) references public.support_tickets (id) on delete cascade,
  constraint support_sessions_assistant_check check (assistant_type in ('ai', 'human', 'hybrid'))
);

create index idx_support_sessions_ticket on public.support_sessions (ticket_id);
create index idx_support_sessions_assistant on public.support_sessions (assistant_type);
create index idx_support_sessions_resolved on public.support_sessions (resolved);
create index idx_support_sessions_created on public.support_sessions (created_at desc);

alter table public.support_sessions enable row level security;

-- `offset 0`: else the planner may read every ticket of the organization to look up one
create policy support_sessions_select on public.support_sessions for select to authenticated
  using (exists (select 1 from public.support_tickets ticket where ticket.id = ticket_id
    and ticket.org_id in (select org_id from public.user_organizations where user_id = (select auth.uid())) offset 0));
create policy support_sessions_insert on public.support_sessions for insert to authenticated
  with check (exists (select 1 from public.support_tickets ticket where ticket.id = ticket_id
    and ticket.org_id in (select org_id from public.user_organizations where user_id = (select auth.uid())) offset 0));
create policy support_sessions_update on public.support_sessions for update to authenticated
  using (exists (select 1 from public.support_tickets ticket where ticket.id = ticket_id
    and ticket.org_id in (select org_id from public.user_organizations where user_id = (select auth.uid())) offset 0));

comment on table public.support_sessions is 'Support session conversations (Phase 60)';
