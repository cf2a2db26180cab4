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
