-- name: due
-- asoe_system
select org_id, delivery_id from asoe.system_due_deliveries($1)

-- name: add
-- once per fact, channel and recipient; in-app ones are there as soon as they are written. A ticket may be gone meanwhile.
insert into asoe.deliveries (org_id, id, fact_id, kind, happened_at, ticket_id, channel, recipient, data, due_at, digest_at, status,
  delivered_at)
select $1, d.id, d.fact_id, d.kind, d.happened_at, t.id, d.channel, d.recipient, d.data, d.due_at, d.digest_at,
  case d.channel when 'in_app' then 'delivered' else 'pending' end, case d.channel when 'in_app' then $3::timestamptz end
from jsonb_to_recordset($2::jsonb) as d (id uuid, fact_id bigint, kind text, happened_at timestamptz, ticket_id uuid,
  channel text, recipient text, data jsonb, due_at timestamptz, digest_at timestamptz)
left join public.support_tickets t on t.org_id = $1 and t.id = d.ticket_id
on conflict do nothing
returning id, status, due_at

-- name: traces
-- in which trace that happened of which each of them tells
select d.id, f.trace from asoe.deliveries d join asoe.facts f on f.org_id = d.org_id and f.id = d.fact_id
where d.org_id = $1 and d.id = any ($2::uuid[]) and f.trace is not null

-- name: hold_digest
select pg_advisory_xact_lock(hashtextextended(recipient || digest_at::text, 147))
from asoe.deliveries where org_id = $1 and id = $2 and digest_at is not null

-- name: claim
-- it is this worker's until claimed_until; a delivery whose worker died is claimed again, with the same id
update asoe.deliveries set status = 'sending', attempts = attempts + 1, claimed_until = $4
where org_id = $1 and id = $2 and due_at <= $3 and (status = 'pending' or (status = 'sending' and claimed_until <= $3))
returning id, fact_id, kind, happened_at, ticket_id, channel, recipient, data, due_at, digest_at, status, attempts, trouble,
  created_at, delivered_at, read_at

-- name: claim_digest
-- the rest of one collection, whose rows a worker holds in the order of their ids
update asoe.deliveries d set status = 'sending', attempts = attempts + 1, claimed_until = $6
from (select id from asoe.deliveries where org_id = $1 and recipient = $2 and digest_at = $3 and id <> $4 and due_at <= $5
    and (status = 'pending' or (status = 'sending' and claimed_until <= $5)) order by id for update) held
where d.org_id = $1 and d.id = held.id
returning d.id, d.fact_id, d.kind, d.happened_at, d.ticket_id, d.channel, d.recipient, d.data, d.due_at, d.digest_at, d.status,
  d.attempts, d.trouble, d.created_at, d.delivered_at, d.read_at

-- name: settle
-- only by the worker whose try it was
update asoe.deliveries set status = $4, trouble = $5, due_at = coalesce($6, due_at), claimed_until = null,
  delivered_at = case $4 when 'delivered' then $7::timestamptz end
where org_id = $1 and id = $2 and attempts = $3 and status = 'sending'

-- name: list_newest
-- $2 status, $3 channel, $4 recipient, $5 fact; null: any
select id, fact_id, kind, happened_at, ticket_id, channel, recipient, data, due_at, digest_at, status, attempts, trouble,
  created_at, delivered_at, read_at
from asoe.deliveries
where org_id = $1 and ($2::text is null or status = $2) and ($3::text is null or channel = $3)
  and ($4::text is null or recipient = $4) and ($5::timestamptz is null or created_at < $5)
order by created_at desc, id
limit $6

-- name: replay
-- dead and delivered ones are sent again, with the same id; $2 null: all dead ones
update asoe.deliveries set status = 'pending', attempts = 0, due_at = $3, trouble = null, claimed_until = null
where org_id = $1 and channel <> 'in_app' and case when $2::uuid is null then status = 'dead'
  else id = $2 and status in ('dead', 'delivered') end
returning id, status, due_at

-- name: ticket
-- what of a ticket a message to staff may say
select number, subject, category, severity from public.support_tickets where org_id = $1 and id = $2
