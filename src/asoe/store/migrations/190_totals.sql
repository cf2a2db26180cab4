-- when: before deploy
-- What /metrics says of the whole installation: sums over all organizations, of which none is named. From counters that are kept
-- anyway; nothing here looks at tickets.
create function asoe.system_totals() returns table (name text, label text, total double precision)
language sql stable security definer set search_path = '' as $$
  select 'tickets', t.status, sum(t.tickets)::float8 from asoe.ticket_tally t group by t.status
  union all
  select 'outcomes', each.label, each.total::float8
  from (select sum(d.tickets) as tickets, sum(d.resting) as resting, sum(d.handled) as handled, sum(d.contained) as contained,
      sum(d.verified) as verified, sum(d.ripe) as ripe, sum(d.durable) as durable
    from asoe.organization_profiles p join asoe.insight_days d on d.org_id = p.org_id and d.dimension = 'all') s,
    lateral (values ('tickets', s.tickets), ('resting', s.resting), ('handled', s.handled), ('contained', s.contained),
      ('verified', s.verified), ('ripe', s.ripe), ('durable', s.durable)) as each (label, total)
  where each.total is not null
  union all
  select 'model', each.label, each.total::float8
  from (select sum(m.tokens) as tokens, sum(m.cost_usd) as cost_usd, sum(m.calls) as calls, sum(m.failures) as failures
    from asoe.model_spend m) s,
    lateral (values ('tokens', s.tokens), ('cost_usd', s.cost_usd), ('calls', s.calls), ('failures', s.failures))
      as each (label, total)
  where each.total is not null
$$;
revoke all on function asoe.system_totals() from public;
grant execute on function asoe.system_totals() to asoe_system;
