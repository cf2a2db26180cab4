-- name: hold
-- one process at a time watches an organization; whoever comes second leaves it
select pg_try_advisory_xact_lock(hashtextextended($1::text, 162))

-- name: oldest
select min(created_at) from public.support_tickets where org_id = $1 and channel <> 'import'

-- name: by_hour
-- clients, not tickets, by intent and hour
select intent, date_trunc('hour', created_at, 'UTC') as at,
  count(distinct coalesce(contact_id, user_id, id))::integer as clients
from public.support_tickets
where org_id = $1 and created_at >= $2 and created_at < $3 and intent is not null and channel <> 'import' and not is_spam
  and merged_into is null
group by 1, 2

-- name: by_step
-- the same by five minutes
select intent, date_bin('5 minutes', created_at, 'epoch'::timestamptz) as at,
  count(distinct coalesce(contact_id, user_id, id))::integer as clients
from public.support_tickets
where org_id = $1 and created_at >= $2 and created_at < $3 and intent is not null and channel <> 'import' and not is_spam
  and merged_into is null
group by 1, 2

-- name: watches
select intent, rates, spread, threshold, state, counted_until, learned_at, alarmed_at
from asoe.spike_watches where org_id = $1 order by intent

-- name: put
insert into asoe.spike_watches (org_id, intent, rates, spread, threshold, state, counted_until, learned_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (org_id, intent) do update set rates = excluded.rates, spread = excluded.spread, threshold = excluded.threshold,
  learned_at = excluded.learned_at

-- name: move
update asoe.spike_watches set state = $3, counted_until = $4, alarmed_at = $5 where org_id = $1 and intent = $2
