-- name: known
select id from asoe.deliveries where org_id = $1 and id = any ($2::uuid[])

-- name: mine
-- open tickets of one person by severity
select severity, count(*) as tickets, min(created_at) as oldest_at, count(*) filter (where reopened > 0) as reopened
from public.support_tickets
where org_id = $1 and assignee = $2 and status in ('open', 'triaging', 'in_progress', 'escalated') and not is_spam
group by severity

-- name: resolved
select count(*) from public.support_tickets
where org_id = $1 and assignee = $2 and status in ('resolved', 'closed') and resolved_at >= $3 and resolved_at < $4

-- name: promises
-- what is owed on one person's tickets before $3, the first due first
select t.id as ticket_id, t.number, t.subject, c.kind, c.due_at, c.breached_at
from public.support_tickets t join asoe.service_clocks c on c.org_id = t.org_id and c.ticket_id = t.id
where t.org_id = $1 and t.assignee = $2 and t.status in ('open', 'triaging', 'in_progress', 'escalated')
  and c.met_at is null and c.due_at < $3
order by c.due_at, t.number, c.kind limit $4

-- name: books
-- runbooks in use with where they stand
select b.name, coalesce(a.level, 'approve') as level, a.loan ->> 'until' as lent_until, a.braked_at, a.braked_why
from asoe.runbooks b left join asoe.runbook_autonomy a on a.org_id = b.org_id and a.runbook_id = b.id
where b.org_id = $1 and b.published_version is not null and b.retired_at is null order by b.name

-- name: running
-- what waits for people, and what went wrong from $2 to before $3
select
  (select count(*) from asoe.approvals where org_id = $1 and status = 'pending') as approvals,
  (select count(*) from asoe.approvals where org_id = $1 and status = 'expired' and expires_at >= $2 and expires_at < $3) as expired,
  (select count(*) from asoe.escalations where org_id = $1 and created_at >= $2 and created_at < $3
    and reasons && array['over_cap']) as over_cap,
  (select count(*) from asoe.deliveries where org_id = $1 and status = 'dead' and created_at >= $2 and created_at < $3) as dead
