-- name: work
-- organizations with something to count; ids only (asoe_system)
select org_id from asoe.system_insight_work($1, $2)

-- name: watch
insert into asoe.insight_cursors (org_id) values ($1) on conflict do nothing

-- name: hold
-- one hand counts for an organization at a time
select xid, fact_id from asoe.insight_cursors where org_id = $1 for update

-- name: read_on
-- the tickets of the next facts in commit-safe order; the cursor moves with whoever counts them
with following as (
  select f.id, f.xid, f.ticket_id from asoe.facts f
  where f.org_id = $1 and (f.xid, f.id) > ($2::text::xid8, $3) and f.xid < pg_snapshot_xmin(pg_current_snapshot())
  order by f.xid, f.id limit $4
), last as (
  select xid, id from following order by xid desc, id desc limit 1
), moved as (
  update asoe.insight_cursors c set xid = last.xid::text::bigint, fact_id = last.id from last where c.org_id = $1
)
select count(*) as facts, array_agg(distinct ticket_id) filter (where ticket_id is not null) as tickets from following

-- name: uncounted
-- how many facts wait to be counted, at most $2
select count(*) from (select from asoe.facts f left join asoe.insight_cursors c on c.org_id = $1
  where f.org_id = $1 and (f.xid, f.id) > (coalesce(c.xid, 0)::text::xid8, coalesce(c.fact_id, 0)) limit $2) waiting

-- name: due
select ticket_id from asoe.insight_tickets where org_id = $1 and next_at <= $2 order by next_at limit $3

-- name: mark
-- something that leaves no fact has changed: look at the ticket again. The row is made here too, or whoever counts at this moment
-- would not see the mark
insert into asoe.insight_tickets as i (org_id, ticket_id, next_at) values ($1, $2, $3)
on conflict (org_id, ticket_id) do update set next_at = least(i.next_at, excluded.next_at)

-- name: place
insert into asoe.insight_tickets (org_id, ticket_id)
select t.org_id, t.id from public.support_tickets t where t.org_id = $1 and t.id = any ($2::uuid[]) order by t.id
on conflict do nothing

-- name: hold_tickets
-- held before they are judged, so that a mark made meanwhile is seen now or left for the next time
select day from asoe.insight_tickets where org_id = $1 and ticket_id = any ($2::uuid[]) order by ticket_id for update

-- name: made_repeats
-- tickets judged before that one of these makes a repeat, since it came in the 7 days before them and was written after they were judged
select distinct i.ticket_id
from public.support_tickets t
join asoe.insight_tickets i on i.org_id = t.org_id and i.client in (t.contact_id, t.user_id)
  and i.repeated = 0 and i.judged_at is not null
  and i.day between (t.created_at at time zone 'utc')::date and (t.created_at at time zone 'utc')::date + 7
join public.support_tickets later on later.org_id = i.org_id and later.id = i.ticket_id
  and later.created_at > t.created_at and later.created_at <= t.created_at + interval '7 days'
where t.org_id = $1 and t.id = any ($2::uuid[]) and t.channel <> 'import' and later.id <> all ($2::uuid[])

-- name: judge
-- what became of tickets, from their rows and facts as they are now ($2). What retention has removed, and what was erased after it
-- was judged, stays as it was judged: which chooses the tickets, $3 names what a dossier must hold
select t.org_id, t.id as ticket_id, (t.created_at at time zone 'utc')::date as day, $2::timestamptz as judged_at,
  case when j.rests and j.since + interval '7 days' > $2 then j.since + interval '7 days' end as next_at,
  not t.is_spam and t.merged_into is null and t.channel <> 'import' as is_counted,
  t.category, coalesce(t.intent, '') as intent, coalesce(t.resolution ->> 'type', '') as resolution,
  coalesce(run.name, '') as runbook, t.channel, coalesce(t.contact_id, t.user_id) as client,
  array(select distinct reason from asoe.escalations x, unnest(x.reasons) reason
    where x.org_id = t.org_id and x.ticket_id = t.id order by reason) as reasons,
  coalesce(run.moved, '{}') as moved,
  case when t.first_response_at is not null then greatest(0, extract(epoch from t.first_response_at - t.created_at)) end::float8 as answered_seconds,
  case when t.resolved_at is not null then greatest(0, extract(epoch from t.resolved_at - t.created_at)) end::float8 as resolved_seconds,
  j.rests::integer as resting,
  (j.rests and coalesce(e.is_whole, true))::integer as handled,
  (j.rests and not coalesce(said.is_touched, false))::integer as contained,
  (j.rests and j.is_verified)::integer as verified,
  (j.rests and j.since + interval '7 days' <= $2)::integer as ripe,
  (j.rests and j.since + interval '7 days' <= $2 and j.is_verified and not coalesce(said.came_back, false))::integer as durable,
  (t.reopened > 0)::integer as reopened,
  (coalesce(old.repeated, 0) = 1 or exists (select from public.support_tickets p
    where p.org_id = t.org_id and p.contact_id = t.contact_id and p.id <> t.id and p.channel <> 'import'
      and p.created_at < t.created_at and p.created_at >= t.created_at - interval '7 days')
    or (t.contact_id is null and exists (select from public.support_tickets p
      where p.org_id = t.org_id and p.user_id = t.user_id and p.id <> t.id and p.channel <> 'import'
        and p.created_at < t.created_at and p.created_at >= t.created_at - interval '7 days')))::integer as repeated,
  (coalesce(said.replies, 0) > 0)::integer as by_people,
  coalesce(said.replies, 0)::integer as replies,
  (worked.seconds is not null)::integer as worked, coalesce(worked.seconds, 0)::bigint as worked_seconds,
  coalesce(promised.first_due, 0)::integer as first_due, coalesce(promised.first_kept, 0)::integer as first_kept,
  coalesce(promised.next_due, 0)::integer as next_due, coalesce(promised.next_kept, 0)::integer as next_kept,
  coalesce(promised.resolution_due, 0)::integer as resolution_due, coalesce(promised.resolution_kept, 0)::integer as resolution_kept,
  (t.channel = 'widget' and coalesce(said.is_answered, false))::integer as ratable,
  (rating.said is not null)::integer as rated,
  coalesce(rating.said = 'helped', false)::integer as helped,
  coalesce(model.tokens, 0)::bigint as tokens, coalesce(model.cost, 0) as model_cost
from public.support_tickets t
left join asoe.insight_tickets old on old.org_id = t.org_id and old.ticket_id = t.id
cross join lateral (
  select t.status in ('resolved', 'closed') or t.waiting_for is not null as rests,
    coalesce(t.resolution ->> 'verdict' = 'verified', false) as is_verified,
    coalesce(t.resolved_at, t.first_response_at, t.created_at) as since
) j
left join lateral (
  select bool_or(f.kind in ('ticket.escalated', 'session.taken_over', 'ticket.moved', 'ticket.assigned')) as is_touched,
    bool_or(f.kind = 'ticket.answered') as is_answered,
    count(*) filter (where f.kind = 'message.added' and f.data ->> 'role' = 'agent') as replies,
    t.reopened > 0 and exists (
      select from unnest(array_agg(f.at) filter (where f.kind = 'ticket.reopened')) again,
        unnest(array_agg(f.at) filter (where f.kind = 'ticket.resolved')) ended
      where again >= ended and again < ended + interval '7 days') as came_back
  from asoe.facts f where f.org_id = t.org_id and f.ticket_id = t.id
) said on true
left join lateral (
  -- how long a person was at it: from one act to the next, when they lie near enough; any other act counts a minute
  select sum(case when acts.gap <= interval '15 minutes' then extract(epoch from acts.gap) else 60 end)::bigint as seconds
  from (
    select f.at - lag(f.at) over (partition by f.actor order by f.at, f.id) as gap
    from asoe.facts f
    where f.org_id = t.org_id and f.ticket_id = t.id and f.actor is not null and f.actor is distinct from t.user_id
      and not exists (select from asoe.members m where m.org_id = f.org_id and m.user_id = f.actor and m.kind <> 'person')
  ) acts
) worked on true
left join lateral (
  select not exists (select from unnest($3::text[]) field
    where coalesce(x.dossier -> field, 'null') in ('null', '""', '[]', '{}')) as is_whole
  from asoe.escalations x where x.org_id = t.org_id and x.ticket_id = t.id order by x.created_at desc, x.id limit 1
) e on true
left join lateral (
  select b.name, (select jsonb_object_agg(sums.unit, sums.amount) from (
      select a.unit, sum(a.amount) as amount from asoe.run_actions a
      where a.org_id = t.org_id and a.run_id = any (select o.id from asoe.runbook_runs o
          where o.org_id = t.org_id and o.ticket_id = t.id and o.mode = 'live')
        and a.status = 'done' and not a.is_undo and a.amount is not null and a.unit is not null
      group by a.unit) sums) as moved
  from asoe.runbook_runs r join asoe.runbooks b on b.org_id = r.org_id and b.id = r.runbook_id
  where r.org_id = t.org_id and r.ticket_id = t.id and r.mode = 'live' order by r.created_at desc, r.id limit 1
) run on true
left join lateral (
  select count(*) filter (where c.kind = 'first_response') as first_due,
    count(*) filter (where c.kind = 'first_response' and c.breached_at is null) as first_kept,
    count(*) filter (where c.kind = 'next_response') as next_due,
    count(*) filter (where c.kind = 'next_response' and c.breached_at is null) as next_kept,
    count(*) filter (where c.kind = 'resolution') as resolution_due,
    count(*) filter (where c.kind = 'resolution' and c.breached_at is null) as resolution_kept
  from asoe.service_clocks c
  where c.org_id = t.org_id and c.ticket_id = t.id and coalesce(c.breached_at, c.met_at) is not null
) promised on true
left join lateral (
  select m.data ->> 'said' as said from asoe.session_messages m
  where t.channel = 'widget' and m.org_id = t.org_id and m.ticket_id = t.id and m.role = 'user'
    and m.data ->> 'said' in ('helped', 'did_not_help')
  order by m.created_at desc, m.id limit 1
) rating on true
left join lateral (
  select sum(i.tokens_in + i.tokens_out) as tokens, sum(i.cost_usd) as cost
  from asoe.orchestrator_runs o join asoe.agent_invocations i on i.org_id = o.org_id and i.run_id = o.id
  where o.org_id = t.org_id and o.ticket_id = t.id
) model on true
where t.org_id = $1 and {which} and not (t.body = '[erased]' and old.judged_at is not null)

-- name: write
-- judged is `judge`
insert into asoe.insight_tickets as i (org_id, ticket_id, {columns})
select org_id, ticket_id, {columns} from ({judged}) judged
on conflict (org_id, ticket_id) do update set {assignments}

-- name: rest
-- what is gone or erased is not looked at again
update asoe.insight_tickets set next_at = null
where org_id = $1 and ticket_id = any ($2::uuid[]) and next_at <= $3

-- name: days_of
select distinct day from asoe.insight_tickets where org_id = $1 and ticket_id = any ($2::uuid[])

-- name: clear
delete from asoe.insight_days where org_id = $1 and day = any ($2::date[])

-- name: sum_up
insert into asoe.insight_days (org_id, day, dimension, value, tickets, {measures}, moved, answered_times, resolved_times)
select $1, day, dimension, value, tickets, {measures}, moved, answered_times, resolved_times from ({summed}) summed

-- name: summed
-- the counters of days as they must be: every ticket once in each of its classes. which chooses the rows, by is empty or the day
with marked as materialized (
  select t.day, t.category, t.intent, t.resolution, t.runbook, t.channel, t.reasons, t.moved as money, {measures},
    asoe.time_step(t.answered_seconds) as answered, asoe.time_step(t.resolved_seconds) as resolved
  from asoe.insight_tickets t where t.org_id = $1 and t.is_counted and {which}
)
select {by} d.dimension, d.value, count(*) as tickets, {sums}, coalesce(sum(d.moved), 0) as moved,
  asoe.sum_times(t.answered) as answered_times, asoe.sum_times(t.resolved) as resolved_times
from marked t cross join lateral (
  select 'all' as dimension, '' as value, null::numeric as moved
  union all select 'category', t.category, null
  union all select 'intent', t.intent, null
  union all select 'resolution', t.resolution, null
  union all select 'runbook', t.runbook, null
  union all select 'channel', t.channel, null
  union all select 'reason', reason, null from unnest(t.reasons) reason
  union all select 'unit', unit, amount::numeric from jsonb_each_text(t.money) each (unit, amount)
) d
group by {by} d.dimension, d.value

-- name: counted
-- a report out of the counters; $4 names the dimensions, value may choose a class
select dimension, value, sum(tickets)::bigint as tickets, {sums}, sum(moved) as moved,
  asoe.sum_times(answered_times)::real[] as answered_times, asoe.sum_times(resolved_times)::real[] as resolved_times
from asoe.insight_days
where org_id = $1 and day >= $2 and day < $3 and dimension = any ($4::text[]) {value}
group by dimension, value

-- name: counted_days
select day, sum(tickets)::bigint as tickets, sum(resting)::bigint as resting, sum(handled)::bigint as handled,
  sum(contained)::bigint as contained, sum(verified)::bigint as verified,
  sum(replies)::bigint as replies, sum(worked_seconds)::bigint as worked_seconds, sum(model_cost)::numeric as model_cost
from asoe.insight_days
where org_id = $1 and day >= $2 and day < $3 and dimension = $4 {value}
group by day order by day

-- name: slice
-- any other slice, out of the tickets of the time; summed is `summed`
select dimension, value, tickets, {measures}, moved, answered_times::real[] as answered_times,
  resolved_times::real[] as resolved_times
from ({summed}) summed

-- name: slice_days
select day, count(*) as tickets, sum(resting)::bigint as resting, sum(handled)::bigint as handled,
  sum(contained)::bigint as contained, sum(verified)::bigint as verified,
  sum(replies)::bigint as replies, sum(worked_seconds)::bigint as worked_seconds, sum(model_cost)::numeric as model_cost
from asoe.insight_tickets t
where t.org_id = $1 and t.is_counted and {which}
group by day order by day

-- name: clients
-- the clients with most tickets
select client, count(*) as tickets, {sums}
from asoe.insight_tickets t
where t.org_id = $1 and t.is_counted and t.client is not null and {which}
group by client order by count(*) desc, client limit $4

-- name: topics
-- what became of the tickets of each topic, and what it took
select 'topic' as dimension, m.topic_id::text as value, count(*) as tickets, {sums},
  asoe.sum_times(asoe.time_step(t.answered_seconds))::real[] as answered_times,
  asoe.sum_times(asoe.time_step(t.resolved_seconds))::real[] as resolved_times
from asoe.topic_tickets m join asoe.insight_tickets t on t.org_id = m.org_id and t.ticket_id = m.ticket_id
where m.org_id = $1 and m.topic_id is not null and t.is_counted
group by m.topic_id

-- name: moved_by_topic
select m.topic_id::text as topic, unit, sum(amount::numeric) as amount
from asoe.topic_tickets m join asoe.insight_tickets t on t.org_id = m.org_id and t.ticket_id = m.ticket_id,
  jsonb_each_text(t.moved) each (unit, amount)
where m.org_id = $1 and m.topic_id is not null and t.is_counted
group by 1, 2

-- name: client_names
select c.id as client, c.name, c.email from asoe.contacts c where c.org_id = $1 and c.id = any ($2::uuid[])
union all
select m.user_id, m.name, m.email from asoe.members m where m.org_id = $1 and m.user_id = any ($2::uuid[])

-- name: all_days
-- every day that has tickets, or counts of them
select distinct day from (
  select (t.created_at at time zone 'utc')::date as day from public.support_tickets t where t.org_id = $1
  union select day from asoe.insight_tickets where org_id = $1
  union select day from asoe.insight_days where org_id = $1
) found order by day

-- name: tickets_of_day
select t.id from public.support_tickets t where t.org_id = $1 and t.created_at >= $2 and t.created_at < $3 order by t.id

-- name: compare_tickets
-- what is kept of a day's tickets beside what they are; a ticket with facts or a time that nobody has counted yet is left out
with fresh as materialized ({judged})
select f.ticket_id, to_jsonb(f) as recounted, to_jsonb(i) as kept
from fresh f left join asoe.insight_tickets i on i.org_id = f.org_id and i.ticket_id = f.ticket_id
where (i.judged_at is null or row({fresh}) is distinct from row({kept}))
  and not exists (select from asoe.facts x left join asoe.insight_cursors c on c.org_id = $1
    where x.org_id = $1 and x.ticket_id = f.ticket_id
      and (x.xid, x.id) > (coalesce(c.xid, 0)::text::xid8, coalesce(c.fact_id, 0)))
  and (i.next_at is null or i.next_at > $2)
order by f.ticket_id limit 1

-- name: compare_days
-- the counters of a day beside the sums they stand for
select coalesce(d.dimension, s.dimension) as dimension, coalesce(d.value, s.value) as value, to_jsonb(s) as recounted,
  to_jsonb(d) as kept
from (select dimension, value, tickets, {measures}, moved, answered_times::real[] as answered_times,
    resolved_times::real[] as resolved_times from ({summed}) counted) s
full join (select dimension, value, tickets, {measures}, moved, answered_times::real[] as answered_times,
    resolved_times::real[] as resolved_times from asoe.insight_days where org_id = $1 and day = $2) d
  on d.dimension = s.dimension and d.value = s.value
where s is distinct from d
order by 1, 2 limit 1
