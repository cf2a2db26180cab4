-- when: before deploy
-- Answers of the engine, each with the chance it was given and what came of it: what certificates of answers rest on. Ids and classes.

create table asoe.answers (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  ticket_id uuid not null,
  message_id uuid,                                -- null: suggested to a person, not sent
  trust text not null check (trust in ('lent', 'certified', 'suggested')),
  chance double precision not null check (chance between 0 and 1),
  category text not null,
  intent text,
  model text not null,                            -- the shared model that judged the ticket
  articles text[] not null,
  reopened integer not null,                      -- how often the ticket had been reopened before
  at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  foreign key (org_id, ticket_id) references public.support_tickets (org_id, id) on delete cascade
);
create index answers_ticket on asoe.answers (org_id, ticket_id, at);
create index answers_newest on asoe.answers (org_id, at desc);

create table asoe.answer_judgements (
  org_id uuid not null,
  answer_id uuid not null,
  source text not null check (source in ('client', 'person', 'audit')),
  is_right boolean not null,
  judged_by uuid,
  at timestamptz not null default clock_timestamp(),
  primary key (org_id, answer_id, source),
  foreign key (org_id, answer_id) references asoe.answers (org_id, id) on delete cascade
);

do $policies$
declare t text;
begin
  foreach t in array array['answers', 'answer_judgements'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.staff_org()))', t || '_staff', t);
  end loop;
end
$policies$;
grant select, insert on asoe.answers to asoe_app;
grant select, insert, update (is_right, judged_by, at) on asoe.answer_judgements to asoe_app;
