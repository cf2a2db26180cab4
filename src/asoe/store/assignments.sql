-- name: hold
select pg_advisory_xact_lock(hashtextextended($1::text, 131))

-- name: people
-- load counts what is open and theirs; given_at is when routing last gave them one
select m.user_id, coalesce(m.email, '') as email, m.role,
  (select count(*) from public.support_tickets t where t.org_id = m.org_id and t.assignee = m.user_id
    and t.status in ('open', 'triaging', 'in_progress', 'escalated'))::integer as load,
  (select max(a.given_at) from asoe.assignments a where a.org_id = m.org_id and a.user_id = m.user_id) as given_at
from asoe.members m
where m.org_id = $1 and m.kind = 'person' and m.role <> 'client' and m.disabled_at is null
order by m.created_at, m.user_id limit 5000

-- name: current
select id, ticket_id, team, level, is_last, user_id, because, others, given_at, due_at, ended_at, ending
from asoe.assignments where org_id = $1 and ticket_id = $2 and ended_at is null

-- name: history
select id, ticket_id, team, level, is_last, user_id, because, others, given_at, due_at, ended_at, ending
from asoe.assignments where org_id = $1 and ticket_id = $2 order by given_at, id

-- name: forgotten
-- escalations that wait for a person and lie with nobody, in an organization with teams: whoever was to give them failed
select e.ticket_id from asoe.escalations e
join public.support_tickets t on t.org_id = e.org_id and t.id = e.ticket_id
join asoe.organization_profiles p on p.org_id = e.org_id and p.settings ? 'teams'
where e.org_id = $1 and e.ended_at is null and e.taken_at is null and e.created_at < now() - make_interval(secs => $2)
  and t.status = 'escalated' and t.assignee is null and not t.is_spam and t.merged_into is null
  and not exists (select from asoe.assignments a where a.org_id = e.org_id and a.ticket_id = e.ticket_id and a.ended_at is null)
order by e.created_at limit 100

-- name: give
insert into asoe.assignments (org_id, ticket_id, team, level, is_last, user_id, because, others, given_at, due_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: put_off
update asoe.assignments set due_at = $3 where org_id = $1 and id = $2 and ended_at is null

-- name: end
update asoe.assignments set ended_at = $4, ending = $3 where org_id = $1 and id = $2 and ended_at is null
