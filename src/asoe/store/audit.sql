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

-- name: seal
-- the database digests, so that no process of ours can seal what is not there
select number, hash, facts from asoe.seal_facts($1)

-- name: set_mark
update asoe.audit_blocks set mark = $3 where org_id = $1 and number = $2 and mark is null

-- name: blocks
select org_id, number, fact_ids, subjects, inner_digests, digests, previous, hash, mark, sealed_at
from asoe.audit_blocks where org_id = $1 and number > $2 order by number limit $3

-- name: newest_block
select org_id, number, fact_ids, subjects, inner_digests, digests, previous, hash, mark, sealed_at
from asoe.audit_blocks where org_id = $1 order by number desc limit 1

-- name: told
-- as asoe.seal_facts digests them
select id, kind, (extract(epoch from at) * 1000000)::bigint as at,
  jsonb_build_array(ticket_id, session_id, actor, data)::text as told
from asoe.facts where org_id = $1 and id = any ($2::bigint[])

-- name: salts
select contact_id, salt from asoe.audit_salts where org_id = $1 and contact_id = any ($2::uuid[])

-- name: erased
select data ->> 'contact_id' as contact_id, min(id) as id from asoe.facts
where org_id = $1 and kind = 'contact.erased' group by 1

-- name: inserted
-- behind the cursor everything is in a block; what is not was put there later
with sealed as materialized (
  select unnest(fact_ids) as id from asoe.audit_blocks where org_id = $1
), stranger as (
  select f.xid, f.id from asoe.facts f
  where f.org_id = $1 and not exists (select from sealed s where s.id = f.id)
    and (f.xid, f.id) <= (select b.until_xid, b.until_id from asoe.audit_blocks b where b.org_id = $1 order by b.number desc limit 1)
  order by f.xid, f.id limit 1
)
select s.id, (select min(b.number) from asoe.audit_blocks b
  where b.org_id = $1 and (b.until_xid, b.until_id) >= (s.xid, s.id)) as number
from stranger s

-- name: standing
with newest as (
  select until_xid, until_id from asoe.audit_blocks where org_id = $1 order by number desc limit 1
), waiting as (
  select f.at from asoe.facts f
  where f.org_id = $1 and (f.xid, f.id) > (coalesce((select until_xid from newest), '0'), coalesce((select until_id from newest), 0))
  order by f.xid, f.id limit 10000
)
select count(*)::integer as unsealed, min(at) as oldest from waiting

-- name: hold_seal
select pg_advisory_xact_lock(hashtextextended($1::uuid::text, 145))

-- name: destroy_salt
delete from asoe.audit_salts where org_id = $1 and contact_id = $2
