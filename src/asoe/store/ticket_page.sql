-- name: sight
-- the ticket, where a reader of what comes next starts, and which kinds of things there are beside it: the others are not asked for
select {columns}, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as since,
  array(select distinct c.field from asoe.corrections c where c.org_id = $1 and c.ticket_id = $2) as corrected,
  array_remove(array[
    case when exists (select from asoe.escalations x where x.org_id = $1 and x.ticket_id = $2) then 'escalation' end,
    case when exists (select from asoe.assignments x where x.org_id = $1 and x.ticket_id = $2) then 'assignments' end,
    case when exists (select from asoe.service_clocks x where x.org_id = $1 and x.ticket_id = $2) then 'clocks' end,
    case when exists (select from asoe.runbook_runs x where x.org_id = $1 and x.ticket_id = $2) then 'runs' end,
    case when exists (select from asoe.incident_tickets x where x.org_id = $1 and x.ticket_id = $2) then 'incidents' end,
    case when exists (select from asoe.attachments x where x.org_id = $1 and x.ticket_id = $2) then 'files' end
  ], null) as beside
from public.support_tickets t where t.org_id = $1 and t.id = $2

-- name: related
-- linked ones; earlier ones of the same client, each identity by its own index; and the newest that wanted the same and ended,
-- whose conditions are those of the index that holds nothing else
with beside as (
  select 'linked' as relation, case when l.ticket_id = $2 then l.other_id else l.ticket_id end as id
  from asoe.ticket_links l where l.org_id = $1 and (l.ticket_id = $2 or l.other_id = $2)
  union
  (select 'earlier', e.id from (
     (select c.id, c.created_at from public.support_tickets c where c.org_id = $1 and c.contact_id = $3 order by c.created_at desc limit $6 + 1)
     union
     (select u.id, u.created_at from public.support_tickets u where u.org_id = $1 and u.user_id = $4 order by u.created_at desc limit $6 + 1)
   ) e where e.id <> $2 order by e.created_at desc limit $6)
  union
  (select 'alike', a.id from public.support_tickets a
   where a.org_id = $1 and a.intent = $5 and a.status in ('resolved', 'closed') and not a.is_spam and a.id <> $2
   order by a.created_at desc, a.id desc limit $6)
)
select b.relation, {columns} from beside b join public.support_tickets t on t.org_id = $1 and t.id = b.id
order by t.created_at desc, t.id desc

-- name: surroundings
-- what may be chosen on the page: colleagues, canned replies in the ticket's language ($2), own intents, and what the policy says
select p.settings,
  (select coalesce(jsonb_agg(jsonb_build_object('user_id', m.user_id, 'name', m.name, 'email', m.email, 'role', m.role)
     order by lower(m.name), m.user_id), '[]')
   from asoe.members m where m.org_id = $1 and m.kind = 'person' and m.role <> 'client' and m.disabled_at is null) as staff,
  (select coalesce(jsonb_agg(jsonb_build_object('name', r.name, 'title', r.title) order by r.title, r.name), '[]')
   from asoe.canned_replies r where r.org_id = $1 and ($2::text is null or r.language is null or r.language = $2)) as replies,
  (select coalesce(jsonb_object_agg(i.name, i.category), '{}')
   from asoe.org_intents i where i.org_id = $1 and i.retired_at is null) as intents
from asoe.organization_profiles p where p.org_id = $1
