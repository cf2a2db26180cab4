-- name: hold
select pg_advisory_xact_lock(hashtextextended('answer_certificates:' || $1, 0))

-- name: deciding
-- what stands for a category and for the whole organization, the category's own first
select {columns} from asoe.answer_certificates c
where c.org_id = $1 and c.category in ($2, '') and c.ended_at is null order by c.category = ''

-- name: standing
select {columns} from asoe.answer_certificates c where c.org_id = $1 and c.ended_at is null order by c.category

-- name: voided
-- those that drift has ended, newest first
select {columns} from asoe.answer_certificates c where c.org_id = $1 and c.ended_why = 'drift'
order by c.ended_at desc, c.category limit $2

-- name: last_voided
select max(ended_at) from asoe.answer_certificates where org_id = $1 and ended_why = 'drift'

-- name: end
update asoe.answer_certificates set ended_at = $2, ended_why = $3, drift = $4 where org_id = $1 and ended_at is null

-- name: insert
insert into asoe.answer_certificates (org_id, category, model, threshold, marginal_threshold, level, delta, cases, errors, accepted,
  accepted_errors, audited, reference, made_by, made_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)

-- name: traffic_before
-- the newest tickets before $2, oldest first: intent, and how much each looks like support
select intent, scope from (
  select coalesce(t.triage -> 'intent' ->> 'value', '') as intent, coalesce((t.triage ->> 'scope')::double precision, 0) as scope, t.created_at, t.id
  from public.support_tickets t
  where t.org_id = $1 and t.created_at <= $2 and t.triage ? 'scope' and not t.is_spam
  order by t.created_at desc, t.id desc limit $3
) newest order by created_at, id

-- name: traffic_since
select coalesce(t.triage -> 'intent' ->> 'value', '') as intent, coalesce((t.triage ->> 'scope')::double precision, 0) as scope
from public.support_tickets t
where t.org_id = $1 and t.created_at > $2 and t.triage ? 'scope' and not t.is_spam
order by t.created_at, t.id limit $3
