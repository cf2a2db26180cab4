-- name: insert
insert into asoe.attachments (org_id, id, ticket_id, name, media_type, size, sha256, content, is_internal, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: of_ticket
-- without the content
select id, ticket_id, name, media_type, size, sha256, is_internal, created_by, created_at
from asoe.attachments where org_id = $1 and ticket_id = $2 order by created_at, id limit $3

-- name: find
select id, ticket_id, name, media_type, size, sha256, is_internal, created_by, created_at, content
from asoe.attachments where org_id = $1 and id = $2
