-- when: before deploy
-- What language models have cost an organization by day (UTC), so that parallel calls cannot spend more than there is: a call
-- reserves what it may cost at most before it is made, and the row is set right afterwards. A reservation nobody settled stays spent.

create table asoe.model_spend (
  org_id uuid not null references public.organizations (id) on delete cascade,
  day date not null,
  tokens bigint not null default 0 check (tokens >= 0),
  cost_usd numeric(14, 6) not null default 0 check (cost_usd >= 0),
  calls integer not null default 0,
  failures integer not null default 0,
  primary key (org_id, day)
);

alter table asoe.model_spend enable row level security;
alter table asoe.model_spend force row level security;
create policy model_spend_staff on asoe.model_spend for all to asoe_app
  using (org_id = (select asoe.current_org()) and (select asoe.is_staff()));
grant select, insert, update (tokens, cost_usd, calls, failures) on asoe.model_spend to asoe_app;
