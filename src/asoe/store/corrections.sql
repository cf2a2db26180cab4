-- name: page
-- newest first; $2 filters by field
select c.id, c.ticket_id, t.number as ticket_number, c.field, c.judged, c.before, c.corrected, c.model_version, c.corrected_by,
  m.name as corrected_by_name, c.created_at
from asoe.corrections c
join public.support_tickets t on t.org_id = c.org_id and t.id = c.ticket_id
left join asoe.members m on m.org_id = c.org_id and m.user_id = c.corrected_by
where c.org_id = $1 and ($2::text is null or c.field = $2) and ($3::timestamptz is null or c.created_at < $3)
order by c.created_at desc, c.id limit $4

-- name: count
select count(*) from asoe.corrections where org_id = $1 and field in ('category', 'severity', 'intent')

-- name: lessons
-- tickets people have sorted, newest first: what was corrected last for each field, and what people at work left as it was
with last as (
  select distinct on (c.ticket_id, c.field) c.ticket_id, c.field, c.corrected, c.corrected_by, c.created_at
  from asoe.corrections c where c.org_id = $1 and c.field in ('category', 'severity', 'intent')
  order by c.ticket_id, c.field, c.created_at desc, c.id desc
), corrected as (
  select ticket_id, jsonb_object_agg(field, corrected) as labels, (array_agg(corrected_by order by created_at desc))[1] as by,
    max(created_at) as at
  from last group by ticket_id
)
select {columns}, c.labels as corrected_labels, c.by as corrected_by
from public.support_tickets t left join corrected c on c.ticket_id = t.id
where t.org_id = $1 and not t.is_spam and t.merged_into is null and t.body <> '[erased]' and t.triage ? 'model_version'
  and (c.ticket_id is not null or (t.status in ('resolved', 'closed') and (t.assignee is not null or exists (
    select from asoe.escalations e where e.org_id = t.org_id and e.ticket_id = t.id and e.taken_at is not null))))
order by coalesce(c.at, t.updated_at) desc, t.id limit $2

-- name: recent
-- what came in last, whoever had it
select {columns} from public.support_tickets t
where t.org_id = $1 and not t.is_spam and t.merged_into is null and t.body <> '[erased]' and t.triage ? 'model_version'
order by t.created_at desc, t.id limit $2

-- name: people
-- who could correct
select count(*) from asoe.members where org_id = $1 and kind = 'person' and role <> 'client' and disabled_at is null

-- name: complain
insert into asoe.complaints (org_id, ticket_id, about, model_version) values ($1, $2, $3, $4) on conflict do nothing

-- name: learn
-- complaints that a person has corrected since, on the ticket itself or on one it is about, and that are among the tickets learned from
update asoe.complaints k set learned_in = $3
where k.org_id = $1 and exists (select from asoe.corrections c
  where c.org_id = k.org_id and c.created_at >= k.created_at and c.ticket_id = any($2::uuid[])
    and (c.ticket_id = k.ticket_id or k.about -> 'tickets' ? c.ticket_id::text))

-- name: learned
-- ended tickets of complaints that the model which judges now was taught by
select k.ticket_id from asoe.complaints k
join asoe.models m on m.org_id = k.org_id and m.id = k.learned_in and m.state = 'champion'
join public.support_tickets t on t.org_id = k.org_id and t.id = k.ticket_id and t.status in ('resolved', 'closed')
where k.org_id = $1 and t.resolution ->> 'type' = 'engine_retraining' and t.resolution ->> 'verdict' <> 'verified'
limit 500
