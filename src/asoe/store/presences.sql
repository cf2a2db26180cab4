-- name: tell
-- changed_at moves only when others would see a difference
insert into asoe.presences as p (org_id, ticket_id, user_id, state) values ($1, $2, $3, $4)
on conflict (org_id, ticket_id, user_id) do update set state = excluded.state, seen_at = clock_timestamp(),
  since = case when p.state = excluded.state and p.seen_at > clock_timestamp() - make_interval(secs => $5) then p.since
    else clock_timestamp() end,
  changed_at = case when p.state = excluded.state and p.seen_at > clock_timestamp() - make_interval(secs => $5) then p.changed_at
    else clock_timestamp() end

-- name: leave
-- as if not seen for long; others notice by the change
update asoe.presences set seen_at = '-infinity', changed_at = clock_timestamp()
where org_id = $1 and ticket_id = $2 and user_id = $3

-- name: others
select p.user_id, m.name, p.state, p.since
from asoe.presences p join asoe.members m on m.org_id = p.org_id and m.user_id = p.user_id
where p.org_id = $1 and p.ticket_id = $2 and p.user_id <> $3 and p.seen_at > clock_timestamp() - make_interval(secs => $4)
  and m.disabled_at is null and m.kind <> 'engine'
order by p.state = 'writing' desc, p.state = 'noting' desc, p.since, p.user_id limit 20

-- name: writers
-- the client has no account: the engine's stands for it
select coalesce(bool_or(m.kind = 'engine'), false) as client, coalesce(bool_or(m.kind <> 'engine'), false) as team
from asoe.presences p join asoe.members m on m.org_id = p.org_id and m.user_id = p.user_id
where p.org_id = $1 and p.ticket_id = $2 and p.state = 'writing' and p.seen_at > clock_timestamp() - make_interval(secs => $3)
  and m.disabled_at is null

-- name: changed
-- team_writes: what a client may know of it
select c.ticket_id, c.changed_at, exists (
  select from asoe.presences p join asoe.members m on m.org_id = p.org_id and m.user_id = p.user_id
  where p.org_id = $1 and p.ticket_id = c.ticket_id and p.state = 'writing' and m.kind <> 'engine' and m.disabled_at is null
    and p.seen_at > clock_timestamp() - make_interval(secs => $3)) as team_writes
from asoe.presences c where c.org_id = $1 and c.changed_at > $2 order by c.changed_at limit 500

-- name: now
select clock_timestamp()

-- name: forget
delete from asoe.presences where org_id = $1 and seen_at < clock_timestamp() - interval '1 hour'
