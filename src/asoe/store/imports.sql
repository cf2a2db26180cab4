-- name: known
-- which of these were imported before
select external_id from asoe.imported_tickets where org_id = $1 and source = $2 and external_id = any ($3::text[])

-- name: remember
-- false when another import was faster
insert into asoe.imported_tickets (org_id, source, external_id, ticket_id) values ($1, $2, $3, $4)
on conflict do nothing
returning ticket_id

-- name: add_message
-- with the time it was said at, unlike messages said here
insert into asoe.session_messages (org_id, session_id, ticket_id, seq, role, content, is_internal, created_at, data)
values ($1, $2, $3, $4, $5, $6, $7, $8, case $5 when 'user' then '{"noted_by_staff": true}'::jsonb else '{}' end)
