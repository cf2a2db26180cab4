-- name: account
insert into asoe.credit_accounts (org_id, kind, client) values ($1, $2, $3)
on conflict (org_id, kind, client) do nothing

-- name: by_key
select id, kind, key, client, amount, work, of_posting, memo, posted_at from asoe.credit_postings where org_id = $1 and key = $2

-- name: post
with posting as (
  insert into asoe.credit_postings (org_id, kind, key, client, amount, work, of_posting, memo, posted_by)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
  returning id, kind, key, client, amount, work, of_posting, memo, posted_at
), taken as (
  insert into asoe.credit_entries (org_id, posting_id, account_id, amount)
  select $1, posting.id, a.id, -posting.amount from posting, asoe.credit_accounts a
  where a.org_id = $1 and a.kind = $10 and a.client = case when $10 in ('issued', 'earned') then '' else $4 end
), given as (
  insert into asoe.credit_entries (org_id, posting_id, account_id, amount)
  select $1, posting.id, a.id, posting.amount from posting, asoe.credit_accounts a
  where a.org_id = $1 and a.kind = $11 and a.client = case when $11 in ('issued', 'earned') then '' else $4 end
)
select id, kind, key, client, amount, work, of_posting, memo, posted_at from posting

-- name: balance
select coalesce(sum(balance) filter (where kind = 'client'), 0) as available, coalesce(sum(balance) filter (where kind = 'held'), 0) as held
from asoe.credit_accounts where org_id = $1 and client = $2

-- name: posting
select id, kind, key, client, amount, work, of_posting, memo, posted_at from asoe.credit_postings where org_id = $1 and id = $2

-- name: charges
select p.id, p.client, p.amount, p.work, p.memo, p.posted_at, w.outcome, w.evidence,
  coalesce((select sum(r.amount) from asoe.credit_postings r
    where r.org_id = p.org_id and r.of_posting = p.id and r.kind = 'refund'), 0) as refunded
from asoe.credit_postings p
left join asoe.credit_works w on w.org_id = p.org_id and w.work = p.work
where p.org_id = $1 and p.kind in ('charge', 'capture') and ($2::text is null or p.client = $2)
  and ($3::uuid is null or p.id = $3) and ($4::text is null or p.work = $4)
order by p.posted_at desc limit $5

-- name: report_work
insert into asoe.credit_works (org_id, work, outcome, evidence, reported_by) values ($1, $2, $3, $4, $5)
on conflict (org_id, work) do nothing

-- name: work
select work, outcome, evidence, reported_at from asoe.credit_works where org_id = $1 and work = $2

-- name: audit
-- postings that do not add up, accounts whose balance is not their entries', and the sum over everything
select
  (select count(*) from asoe.credit_postings p where p.org_id = $1
    and (select coalesce(sum(e.amount), 1) from asoe.credit_entries e where e.org_id = p.org_id and e.posting_id = p.id) <> 0) as unbalanced,
  (select count(*) from asoe.credit_accounts a where a.org_id = $1
    and a.balance <> (select coalesce(sum(e.amount), 0) from asoe.credit_entries e where e.org_id = a.org_id and e.account_id = a.id)) as drifted,
  (select coalesce(sum(e.amount), 0) from asoe.credit_entries e where e.org_id = $1) as total,
  (select count(*) from asoe.credit_postings where org_id = $1) as postings
