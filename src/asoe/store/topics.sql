-- name: claim
-- one search at a time; one whose process died is taken over after an hour
insert into asoe.topic_searches as s (org_id, begun_at) values ($1, $2)
on conflict (org_id) do update set begun_at = excluded.begun_at
where (s.begun_at is null or s.begun_at < excluded.begun_at - interval '1 hour') and (s.ended_at is null or s.ended_at <= $3)
returning true

-- name: release
-- only by who holds it: one that was taken over writes nothing
update asoe.topic_searches set begun_at = null, ended_at = coalesce($3, ended_at), tickets = coalesce($4, tickets)
where org_id = $1 and begun_at = $2 returning true

-- name: search
select begun_at, ended_at, tickets from asoe.topic_searches where org_id = $1

-- name: leave_out
-- what is too old, gone to another ticket, spam or erased is looked at no more
delete from asoe.topic_tickets m using public.support_tickets t
where m.org_id = $1 and t.org_id = m.org_id and t.id = m.ticket_id
  and (t.created_at < $2 or t.is_spam or t.merged_into is not null or t.body = '[erased]')

-- name: unread
-- the newest tickets, and which of them have no vector yet; of those, in a batch of at most $4
select id from (
  select t.org_id, t.id, t.created_at from public.support_tickets t
  where t.org_id = $1 and t.created_at >= $2 and t.channel <> 'import' and not t.is_spam and t.merged_into is null
    and t.body <> '[erased]'
  order by t.created_at desc, t.id limit $3) newest
where not exists (select from asoe.topic_tickets m where m.org_id = newest.org_id and m.ticket_id = newest.id)
order by created_at desc, id limit $4

-- name: texts
-- no more of a body than a vector is made of
select id, subject, left(body, 4000) as body, metadata ->> 'subject' as told_subject,
  left(metadata ->> 'description', 4000) as told_body,
  coalesce('contact:' || contact_id, 'user:' || user_id, 'ticket:' || id) as client
from public.support_tickets where org_id = $1 and id = any ($2::uuid[]) and body <> '[erased]'

-- name: add
insert into asoe.topic_tickets (org_id, ticket_id, embedding)
select $1, t.id, given.embedding from unnest($2::uuid[], $3::bytea[]) given (id, embedding)
join public.support_tickets t on t.org_id = $1 and t.id = given.id and t.body <> '[erased]'
on conflict do nothing

-- name: vectors
select m.ticket_id, m.topic_id, m.embedding from asoe.topic_tickets m
join public.support_tickets t on t.org_id = m.org_id and t.id = m.ticket_id
where m.org_id = $1 order by t.created_at desc, m.ticket_id limit $2

-- name: drop_surplus
delete from asoe.topic_tickets where org_id = $1 and not (ticket_id = any ($2::uuid[]))

-- name: known
-- every topic that a group may be: one that went into another is that one now, one that ended before $2 is over
select id, number, name, center, ended_at from asoe.topics
where org_id = $1 and merged_into is null and (ended_at is null or ended_at >= $2) order by number

-- name: begin
insert into asoe.topics (org_id, number, name, center, split_from, begun_at)
values ($1, (select coalesce(max(number), 0) + 1 from asoe.topics where org_id = $1), $2, $3, $4, $5)
returning id

-- name: go_on
-- a topic that had ended goes on, too
update asoe.topics set center = $3, ended_at = null where org_id = $1 and id = $2

-- name: end
update asoe.topics set ended_at = $3, merged_into = $4 where org_id = $1 and id = $2

-- name: place
-- only tickets whose topic is another than before, or whose likeness is
update asoe.topic_tickets m set topic_id = given.topic_id, likeness = given.likeness
from unnest($2::uuid[], $3::uuid[], $4::real[]) given (ticket_id, topic_id, likeness)
where m.org_id = $1 and m.ticket_id = given.ticket_id
  and (m.topic_id, m.likeness) is distinct from (given.topic_id, given.likeness)

-- name: listed
-- those that go on, and those that ended since
select t.id, t.number, t.name, s.number as split_from, i.number as merged_into, t.begun_at, t.ended_at
from asoe.topics t
left join asoe.topics s on s.org_id = t.org_id and s.id = t.split_from
left join asoe.topics i on i.org_id = t.org_id and i.id = t.merged_into
where t.org_id = $1 and (t.ended_at is null or t.ended_at >= $2) order by t.number

-- name: weeks
-- tickets of each topic (null: of none) by weeks counted back from $2
select m.topic_id, floor(extract(epoch from $2::timestamptz - t.created_at) / 604800)::integer as week, count(*)::integer as tickets
from asoe.topic_tickets m join public.support_tickets t on t.org_id = m.org_id and t.id = m.ticket_id
where m.org_id = $1 and t.created_at < $2 group by 1, 2

-- name: clients
-- how many clients wrote about each topic (null: about none) in the period before $2 and in the one before that; each counts once
select topic_id, count(*) filter (where is_now)::integer as now, count(*) filter (where not is_now)::integer as before from (
  select distinct m.topic_id, coalesce(t.contact_id, t.user_id, t.id) as client, t.created_at >= $2::timestamptz - $3::interval as is_now
  from asoe.topic_tickets m join public.support_tickets t on t.org_id = m.org_id and t.id = m.ticket_id
  where m.org_id = $1 and t.created_at < $2 and t.created_at >= $2::timestamptz - 2 * $3::interval) each
group by topic_id

-- name: examples
-- those nearest to each topic's center, newest first where they are alike
select topic_id, id, number, title, at from (
  select m.topic_id, t.id, t.number, coalesce(nullif(t.subject, ''), nullif(left(t.body, 400), ''), t.metadata ->> 'subject', '') as title,
    t.created_at as at, row_number() over (partition by m.topic_id order by m.likeness desc, t.created_at desc) as place
  from asoe.topic_tickets m join public.support_tickets t on t.org_id = m.org_id and t.id = m.ticket_id
  where m.org_id = $1 and m.topic_id is not null) ranked
where place <= $2 order by topic_id, place

-- name: forget
-- tickets whose words are gone
delete from asoe.topic_tickets where org_id = $1 and ticket_id = any ($2::uuid[])
