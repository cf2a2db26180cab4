-- name: remember
-- the response as its exact text; status 0 is a claim whose response is not known yet
insert into asoe.idempotency_keys (org_id, user_id, key, request, status, response)
values ($1, $2, $3, $4, $5, to_jsonb($6::text))

-- name: find
select request, status, response #>> '{}' as response, created_at
from asoe.idempotency_keys where org_id = $1 and user_id = $2 and key = $3

-- name: drop_claim
delete from asoe.idempotency_keys where org_id = $1 and user_id = $2 and key = $3 and status = 0

-- name: expire
-- as the engine, which alone sees every account's keys
delete from asoe.idempotency_keys where org_id = $1 and created_at < $2

-- name: forget
-- erasing a client takes the responses that name what is erased
delete from asoe.idempotency_keys
where org_id = $1 and exists (select from unnest($2::text[]) as erased (id) where response #>> '{}' like '%' || erased.id || '%')
