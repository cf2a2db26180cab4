-- name: ask
-- asoe_system; no row: nobody may be sent one
select email, name from asoe.system_ask_reset($1, $2, $3, $4, $5, $6)

-- name: read
-- asoe_system
select email from asoe.system_read_reset($1, $2)

-- name: use
-- asoe_system; null: it was used, or is over
select asoe.system_use_reset($1, $2, $3)
