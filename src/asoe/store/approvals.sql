-- name: usable
select id, digest, status from asoe.approvals
where org_id = $1 and run_id = $2 and path = $3 and status in ('pending', 'approved') and expires_at > clock_timestamp()
for update

-- name: newest
select id, digest, status from asoe.approvals where org_id = $1 and run_id = $2 and path = $3 order by requested_at desc limit 1

-- name: kill
update asoe.approvals set status = 'dead', decided_at = clock_timestamp()
where org_id = $1 and run_id = $2 and path = $3 and status in ('pending', 'approved')

-- name: kill_run
update asoe.approvals set status = 'dead', decided_at = clock_timestamp()
where org_id = $1 and run_id = $2 and status in ('pending', 'approved')

-- name: request
insert into asoe.approvals (org_id, run_id, ticket_id, path, connector, action, risk, arguments, digest, card, people, role, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, clock_timestamp() + $13)
returning id

-- name: use
update asoe.approvals set status = 'used'
where org_id = $1 and id = $2 and status = 'approved' and expires_at > clock_timestamp()

-- name: hold
select a.id, a.run_id, a.ticket_id, a.path, a.connector, a.action, a.risk, a.arguments, a.digest, a.card, a.people, a.role,
  case when a.status = 'pending' and a.expires_at <= clock_timestamp() then 'expired' else a.status end as status,
  a.requested_at, a.expires_at, a.decided_at,
  (select count(*) from asoe.approval_votes v where v.org_id = a.org_id and v.approval_id = a.id and v.vote = 'approve') as approvals
from asoe.approvals a where a.org_id = $1 and a.id = $2 for update of a

-- name: find
select a.id, a.run_id, a.ticket_id, a.path, a.connector, a.action, a.risk, a.arguments, a.digest, a.card, a.people, a.role,
  case when a.status = 'pending' and a.expires_at <= clock_timestamp() then 'expired' else a.status end as status,
  a.requested_at, a.expires_at, a.decided_at,
  (select count(*) from asoe.approval_votes v where v.org_id = a.org_id and v.approval_id = a.id and v.vote = 'approve') as approvals
from asoe.approvals a where a.org_id = $1 and a.id = $2

-- name: list
select a.id, a.run_id, a.ticket_id, a.path, a.connector, a.action, a.risk, a.arguments, a.digest, a.card, a.people, a.role,
  case when a.status = 'pending' and a.expires_at <= clock_timestamp() then 'expired' else a.status end as status,
  a.requested_at, a.expires_at, a.decided_at,
  (select count(*) from asoe.approval_votes v where v.org_id = a.org_id and v.approval_id = a.id and v.vote = 'approve') as approvals
from asoe.approvals a
where a.org_id = $1 and ($2::text is null or case when a.status = 'pending' and a.expires_at <= clock_timestamp() then 'expired' else a.status end = $2)
  and ($3::uuid is null or a.ticket_id = $3)
  and ($4::uuid is null or (a.requested_at, a.id) < (
    select b.requested_at, b.id from asoe.approvals b where b.org_id = $1 and b.id = $4))
order by a.requested_at desc, a.id desc limit $5

-- name: vote
insert into asoe.approval_votes (org_id, approval_id, user_id, vote, reason) values ($1, $2, $3, $4, $5)
on conflict do nothing

-- name: has_voted
select exists (select from asoe.approval_votes where org_id = $1 and approval_id = $2 and user_id = $3)

-- name: settle
update asoe.approvals set status = $3, decided_at = clock_timestamp() where org_id = $1 and id = $2 and status = 'pending'

-- name: expire
update asoe.approvals set status = 'expired', decided_at = clock_timestamp()
where org_id = $1 and status in ('pending', 'approved') and expires_at <= clock_timestamp()
returning run_id, ticket_id
