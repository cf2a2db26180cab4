-- name: insert
-- the number comes from a trigger, so that no path can forget it
insert into public.support_tickets (id, org_id, user_id, category, severity, status, metadata, number, subject, body,
  contact_id, channel, language, intent, triage, cc, tags, custom_fields, is_spam, fingerprint, created_at, updated_at, closed_at)
values ($1, $2, $3, $4, $5, $6, $7, null, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20,
  case when $6::text = 'closed' then $20::timestamptz end)
returning number, version

-- name: find
-- one ticket of this organization, as far as the caller may see it
select {columns} from public.support_tickets t where t.org_id = $1 and t.id = $2

-- name: find_by_number
select {columns} from public.support_tickets t where t.org_id = $1 and t.number = $2

-- name: find_for_update
-- the row is held until the transaction ends; not `for update`, which would also keep out whoever adds a message
select {columns} from public.support_tickets t where t.org_id = $1 and t.id = $2 for no key update of t

-- name: lock_fingerprint
-- two equal requests at the same moment: the second waits and then finds the first
select pg_advisory_xact_lock(hashtextextended($1::text || encode($2::bytea, 'hex'), 1))

-- name: find_equal
-- the same words from the same person within the window
select {columns} from public.support_tickets t
where t.org_id = $1 and t.fingerprint = $2 and t.created_at > $3 and t.merged_into is null
order by t.created_at desc limit 1

-- name: page
-- {filters} and {after} are chosen from a fixed list in tickets.py
select {columns} from public.support_tickets t
where t.org_id = $1 {filters} {after}
order by t.created_at desc, t.id desc
limit $2

-- name: page_of_alternatives
-- as many as a page of each alternative, merged: a filter of several values would lose the index's order
select {columns} from public.support_tickets t
where t.org_id = $1 and t.id in (
  select picked.id from unnest($3::text[]) alternative cross join lateral (
    select t.id, t.created_at from public.support_tickets t
    where t.org_id = $1 and t.{field} = alternative {filters} {after}
    order by t.created_at desc, t.id desc
    limit $2) picked
  order by picked.created_at desc, picked.id desc
  limit $2)
order by t.created_at desc, t.id desc

-- name: search
-- what the caller may see of its organization, by words ($1) and marks ($2), newest first behind ($4, $5)
select id, created_at from asoe.search_ticket_ids($1::text, $2::text, $3::integer, $4::timestamptz, $5::uuid)

-- name: page_of_found
select {columns} from public.support_tickets t
where t.org_id = $1 and t.id = any($3::uuid[]) {filters}
order by t.created_at desc, t.id desc
limit $2

-- name: open_by_severity
-- most severe first by rank, then oldest
select {columns} from public.support_tickets t
where t.org_id = $1 and t.status in ('open', 'triaging', 'in_progress')
order by array_position(array['critical', 'high', 'medium', 'low'], t.severity), t.created_at, t.id
limit $2

-- name: update
-- {assignments} are chosen from a fixed list in tickets.py; zero rows: somebody else was faster. What else the row holds
-- is as it was read: its version says so
update public.support_tickets t set {assignments}
where t.org_id = $1 and t.id = $2 and t.version = $3
returning t.version, t.updated_at

-- name: earlier_of_requester
-- what the same person came with before, newest first; each identity by its own index
select {columns} from public.support_tickets t
where t.org_id = $1 and t.id <> $2 and t.id in (
  (select c.id from public.support_tickets c where c.org_id = $1 and c.contact_id = $3 order by c.created_at desc limit $5 + 1)
  union
  (select u.id from public.support_tickets u where u.org_id = $1 and u.user_id = $4 order by u.created_at desc limit $5 + 1))
order by t.created_at desc
limit $5

-- name: ended_alike
-- its conditions are those of the index that holds nothing else
select {columns} from public.support_tickets t
where t.org_id = $1 and t.intent = $3 and t.status in ('resolved', 'closed') and not t.is_spam and t.id <> $2
order by t.created_at desc, t.id desc
limit $4

-- name: stats
-- from the tally: differences that sum up to a recount
select category, status, sum(tickets)::bigint as tickets, sum(resolved_timed)::bigint as resolved_timed,
  sum(resolved_seconds) as resolved_seconds
from asoe.ticket_tally where org_id = $1
group by category, status

-- name: recount
-- the slow truth that the tally must equal
select category, status, count(*) as tickets, count(resolved_at) as resolved_timed,
  coalesce(sum(extract(epoch from resolved_at - created_at)), 0)::double precision as resolved_seconds
from public.support_tickets where org_id = $1
group by category, status

-- name: fold_tally
select asoe.fold_tally()

-- name: link
insert into asoe.ticket_links (org_id, ticket_id, other_id, kind, created_by) values ($1, $2, $3, $4, $5)
on conflict do nothing returning true

-- name: links
select ticket_id, other_id, kind, created_at from asoe.ticket_links
where org_id = $1 and (ticket_id = $2 or other_id = $2) order by created_at

-- name: correct
-- a person's correction is training data with its origin
insert into asoe.corrections (org_id, ticket_id, field, judged, before, corrected, model_version, corrected_by)
values ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: corrected_fields
select distinct field from asoe.corrections
where org_id = $1 and ticket_id = $2 and ($3::timestamptz is null or created_at < $3)
