-- name: reserve
-- $3 tokens and $4 dollars at most, if the day still has room under $5 and $6 (null: no limit); no row when it has not
insert into asoe.model_spend as s (org_id, day, tokens, cost_usd, calls)
select $1::uuid, $2::date, $3::bigint, $4::numeric, 1
where ($5::bigint is null or $3 <= $5) and ($6::numeric is null or $4 <= $6)
on conflict (org_id, day) do update
  set tokens = s.tokens + excluded.tokens, cost_usd = s.cost_usd + excluded.cost_usd, calls = s.calls + 1
  where ($5::bigint is null or s.tokens + excluded.tokens <= $5)
    and ($6::numeric is null or s.cost_usd + excluded.cost_usd <= $6)
returning 1

-- name: settle
-- what was reserved ($3, $4) becomes what it was ($5, $6)
update asoe.model_spend
set tokens = greatest(0, tokens - $3::bigint + $5::bigint), cost_usd = greatest(0, cost_usd - $4::numeric + $6::numeric),
  failures = failures + $7::integer
where org_id = $1 and day = $2

-- name: spent
select day, tokens, cost_usd, calls, failures from asoe.model_spend
where org_id = $1 and day > $2::date - $3::integer and day <= $2 order by day
