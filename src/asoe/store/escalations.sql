-- name: open
-- at most one open escalation a ticket; a second one adds its reasons and renews the dossier
insert into asoe.escalations (org_id, ticket_id, reasons, team, dossier) values ($1, $2, $3, $4, $5)
on conflict (org_id, ticket_id) where ended_at is null do update set
  reasons = (select array_agg(distinct reason) from unnest(asoe.escalations.reasons || excluded.reasons) as reason),
  team = excluded.team, dossier = excluded.dossier
returning id, (xmax = 0) as is_new

-- name: newest
select id, ticket_id, reasons, team, dossier, created_at, taken_by, taken_at, ended_at
from asoe.escalations where org_id = $1 and ticket_id = $2 order by created_at desc limit 1

-- name: take
update asoe.escalations set taken_by = $3, taken_at = clock_timestamp()
where org_id = $1 and ticket_id = $2 and ended_at is null and taken_at is null

-- name: end
update asoe.escalations set ended_at = clock_timestamp() where org_id = $1 and ticket_id = $2 and ended_at is null

-- name: looked_at
-- what a person may open beside the ticket, newest first of each kind
(select 'run' as kind, r.id, coalesce(nullif(b.title, ''), b.name) as name
 from asoe.runbook_runs r join asoe.runbooks b on b.org_id = r.org_id and b.id = r.runbook_id
 where r.org_id = $1 and r.ticket_id = $2 order by r.created_at desc, r.id limit 5)
union all
(select 'incident', i.id, '#' || i.number || ' ' || i.title
 from asoe.incident_tickets l join asoe.incidents i on i.org_id = l.org_id and i.id = l.incident_id
 where l.org_id = $1 and l.ticket_id = $2 order by l.linked_at desc limit 3)
union all
(select 'article', a.id, a.title from asoe.articles a
 where a.org_id = $1 and a.id::text in (
   select jsonb_path_query(m.data, '$.citations[*].article_id') #>> '{}' from asoe.session_messages m
   where m.org_id = $1 and m.ticket_id = $2)
 order by a.title limit 5)
