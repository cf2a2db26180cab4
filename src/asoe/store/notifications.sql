-- name: with_news
-- asoe_system
select org_id from asoe.system_with_news($1)

-- name: open_cursor
insert into asoe.notification_cursors (org_id) values ($1) on conflict do nothing

-- name: hold_cursor
-- one process at a time; whoever comes second goes on with another organization
select xid::text::bigint as xid, fact_id from asoe.notification_cursors where org_id = $1 for update skip locked

-- name: move_cursor
update asoe.notification_cursors set xid = $2::text::xid8, fact_id = $3 where org_id = $1

-- name: staff
-- the persons of the staff with what they chose
select m.user_id, m.role, m.email is not null as has_email, p.choices, p.quiet_from, p.quiet_until, p.zone, p.is_urgent_always, p.digests,
  p.briefing, p.briefing_since, coalesce(m.email, '') as email
from asoe.members m
left join asoe.notification_preferences p on p.org_id = m.org_id and p.user_id = m.user_id
where m.org_id = $1 and m.kind = 'person' and m.role in ('owner', 'admin', 'agent') and m.disabled_at is null
order by m.user_id

-- name: about
select id, assignee, severity, team from public.support_tickets where org_id = $1 and id = any($2::uuid[])

-- name: preferences
select choices, quiet_from, quiet_until, zone, is_urgent_always, digests, briefing
from asoe.notification_preferences where org_id = $1 and user_id = $2

-- name: set_preferences
insert into asoe.notification_preferences as p (org_id, user_id, choices, quiet_from, quiet_until, zone, is_urgent_always, digests,
  briefing, briefing_since)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (org_id, user_id) do update set choices = excluded.choices, quiet_from = excluded.quiet_from,
  quiet_until = excluded.quiet_until, zone = excluded.zone, is_urgent_always = excluded.is_urgent_always,
  digests = excluded.digests, briefing = excluded.briefing, updated_at = clock_timestamp(),
  briefing_since = case when p.briefing = excluded.briefing then p.briefing_since else excluded.briefing_since end

-- name: wants_briefings
select exists (select from asoe.notification_preferences where org_id = $1 and briefing <> 'off')
  and exists (select from asoe.mailboxes where org_id = $1)

-- name: inbox
-- what one person was told in the dashboard, newest first
select d.id, d.fact_id, d.kind, d.happened_at, d.ticket_id, d.channel, d.recipient, d.data, d.due_at, d.digest_at, d.status, d.attempts,
  d.trouble, d.created_at, d.delivered_at, d.read_at, t.number, t.subject
from asoe.deliveries d left join public.support_tickets t on t.org_id = d.org_id and t.id = d.ticket_id
where d.org_id = $1 and d.recipient = $2 and d.channel = 'in_app' and ($3::timestamptz is null or d.happened_at < $3)
order by d.happened_at desc, d.id
limit $4

-- name: unread
-- more than a bell can show is not counted
select count(*) from (
  select from asoe.deliveries where org_id = $1 and recipient = $2 and channel = 'in_app' and read_at is null limit 100
) found

-- name: mark_read
-- $3 null: all of them
update asoe.deliveries set read_at = clock_timestamp()
where org_id = $1 and recipient = $2 and channel = 'in_app' and read_at is null and ($3::uuid[] is null or id = any($3))
