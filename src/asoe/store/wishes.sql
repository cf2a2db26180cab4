-- name: hold
-- one writer of an organization's wishes at a time: equal ones that come at once find each other
select pg_advisory_xact_lock(hashtextextended($1::text, 150))

-- name: wanted
-- every wanted wish to compare a new one with
select id, embedding from asoe.wishes where org_id = $1 and status in ('open', 'planned') order by number desc limit $2

-- name: insert
insert into asoe.wishes (org_id, number, title, words, words_of, language, embedding, created_at)
values ($1, (select coalesce(max(number), 0) + 1 from asoe.wishes where org_id = $1), $2, $3, $4, $5, $6, $7)
returning id

-- name: support
-- a ticket's client wants it; who that is, and on which plan, is read from the ticket
insert into asoe.wish_supporters (org_id, wish_id, recorded_with, ticket_id, client, plan, likeness, created_at)
select $1, $2, $2, t.id, coalesce('contact:' || c.id, 'user:' || t.user_id, 'ticket:' || t.id), c.plan, $4, $5
from public.support_tickets t
left join lateral (select c.id, c.plan from asoe.contacts c
  where c.org_id = t.org_id and (c.id = t.contact_id or (t.contact_id is null and c.user_id = t.user_id))
  order by c.id limit 1) c on true
where t.org_id = $1 and t.id = $3
on conflict (org_id, ticket_id) where ticket_id is not null do nothing

-- name: of_ticket
-- the wish a ticket speaks for, as it is stored, with how many clients want it
select w.id, w.number, w.status, (select count(distinct o.client) from asoe.wish_supporters o
  where o.org_id = w.org_id and o.wish_id = w.id)::integer as clients
from asoe.wish_supporters s join asoe.wishes w on w.org_id = s.org_id and w.id = s.wish_id
where s.org_id = $1 and s.ticket_id = $2

-- name: page
-- those that most clients want first; a client counts once, under the plan of its newest ticket
select {columns}
from asoe.wishes w
left join lateral (
  select coalesce(sum(n), 0)::integer as clients, coalesce(sum(told), 0)::integer as told, coalesce(sum(tickets), 0)::integer as tickets,
    coalesce(jsonb_object_agg(plan, n) filter (where n is not null), '{}') as plans
  from (
    select plan, sum(tickets) as tickets, sum(told) as told, count(*) as n from (
      select distinct on (s.client) coalesce(s.plan, '') as plan, count(*) over (partition by s.client) as tickets,
        (max(s.told_at) over (partition by s.client) is not null)::integer as told
      from asoe.wish_supporters s where s.org_id = w.org_id and s.wish_id = w.id order by s.client, s.created_at desc) each
    group by plan) by_plan
) c on true
left join asoe.wishes m on m.org_id = w.org_id and m.id = w.merged_into
where w.org_id = $1 and ($2::text is null or w.status = $2) and ($3::integer is null or w.number = $3)
  and ($4::integer is null or (coalesce(c.clients, 0), w.number) < ($4, $5))
order by coalesce(c.clients, 0) desc, w.number desc
limit $6

-- name: find_for_update
select id, number, title, status, merged_into from asoe.wishes where org_id = $1 and number = $2 for update

-- name: supporters
select s.id, s.client, s.ticket_id, t.number as ticket_number, s.plan, s.likeness, s.created_at, s.told_at,
  (select o.number from asoe.wishes o where o.org_id = s.org_id and o.id = s.recorded_with and o.id <> s.wish_id) as came_with
from asoe.wish_supporters s
left join public.support_tickets t on t.org_id = s.org_id and t.id = s.ticket_id
where s.org_id = $1 and s.wish_id = $2
order by s.created_at, s.id limit $3

-- name: rename
update asoe.wishes set title = $3, titled_by = $4 where org_id = $1 and id = $2

-- name: set_status
update asoe.wishes set status = $3, merged_into = $4, note = coalesce($5, note), shipped_at = $6 where org_id = $1 and id = $2

-- name: move_all
update asoe.wish_supporters set wish_id = $3 where org_id = $1 and wish_id = $2

-- name: move_back
-- the supporters that were recorded with a wish, from the one it was merged into
update asoe.wish_supporters set wish_id = $2 where org_id = $1 and recorded_with = $2 and wish_id <> $2

-- name: move_tickets
update asoe.wish_supporters set wish_id = $4, recorded_with = $4
where org_id = $1 and wish_id = $2 and ticket_id = any($3::uuid[])

-- name: untold
-- of each client that was not told of a shipped wish the newest ticket that can still be written to
select distinct on (s.client) s.id, s.client, s.wish_id, s.ticket_id, w.number, w.note, w.title, t.language, x.id as session_id, x.assistant_type
from asoe.wish_supporters s
join asoe.wishes w on w.org_id = s.org_id and w.id = s.wish_id and w.status = 'shipped'
join public.support_tickets t on t.org_id = s.org_id and t.id = s.ticket_id and not t.is_spam and t.body <> '[erased]'
join lateral (select x.id, x.assistant_type from public.support_sessions x where x.ticket_id = t.id
  order by x.created_at desc, x.id limit 1) x on true
where s.org_id = $1 and s.told_at is null and not exists (select from asoe.wish_supporters o
  where o.org_id = s.org_id and o.wish_id = s.wish_id and o.client = s.client and o.told_at is not null)
order by s.client, s.created_at desc, s.id
limit 1

-- name: set_told
-- whoever has told a client has told it for all of its tickets
update asoe.wish_supporters set told_at = $4 where org_id = $1 and wish_id = $2 and client = $3 and told_at is null

-- name: erase
-- words, and a title that no person of the team has written, go with the client they came from
update asoe.wishes set words = '[erased]', title = case when titled_by is null then '[erased]' else title end
where org_id = $1 and words_of = any($2::uuid[])
