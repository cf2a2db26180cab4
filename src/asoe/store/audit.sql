-- name: page
-- facts behind $2, newest first; the newest $7 behind it are looked at, so that a rare kind costs no scan of all
with looked as (
  select id, kind, at, ticket_id, session_id, actor, data, xid::text::bigint as xid from asoe.facts
  where org_id = $1 and id < $2 order by id desc limit $7
)
select id, kind, at, ticket_id, session_id, actor, data, xid from looked
where ($3::text is null or kind = $3) and ($4::uuid is null or actor = $4) and ($5::uuid is null or ticket_id = $5)
order by id desc limit $6

-- name: looked_until
-- where the next look begins when a page did not fill
select min(id) as oldest, count(*) as looked from (
  select id from asoe.facts where org_id = $1 and id < $2 order by id desc limit $3) looked
