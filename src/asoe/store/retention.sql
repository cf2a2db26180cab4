-- name: closed_tickets
-- a ticket goes with its sessions, messages, attachments and escalations
delete from public.support_tickets where org_id = $1 and status = 'closed' and closed_at < $2

-- name: attachments
delete from asoe.attachments where org_id = $1 and created_at < $2

-- name: idempotency_keys
delete from asoe.idempotency_keys where org_id = $1 and created_at < $2

-- name: erase_tickets
-- text and names go, counts stay
update public.support_tickets set subject = '[erased]', body = '[erased]', metadata = '{}', cc = '{}',
  custom_fields = '{}', resolution = resolution - 'summary' - 'evidence'
where org_id = $1 and contact_id = $2
returning id

-- name: erase_messages
update asoe.session_messages set content = '[erased]', data = '{}' where org_id = $1 and ticket_id = any($2::uuid[])

-- name: erase_attachments
delete from asoe.attachments where org_id = $1 and ticket_id = any($2::uuid[])

-- name: erase_escalations
update asoe.escalations set dossier = '{"wants": "[erased]"}' where org_id = $1 and ticket_id = any($2::uuid[])

-- name: erase_contact
-- the row stays, so that counts by contact stay true; nothing in it says who it was
update asoe.contacts set email = null, phone = null, external_id = null, name = '[erased]', language = null,
  user_id = null, erased_at = clock_timestamp()
where org_id = $1 and id = $2

-- name: tickets_of_contact
select id from public.support_tickets where org_id = $1 and contact_id = $2 order by created_at, id

-- name: attachments_of
select id, ticket_id, name, media_type, size, created_at from asoe.attachments
where org_id = $1 and ticket_id = any($2::uuid[]) and not is_internal order by created_at
