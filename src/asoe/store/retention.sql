-- name: closed_tickets
-- a ticket goes with its sessions, messages, attachments and escalations
delete from public.support_tickets where org_id = $1 and status = 'closed' and closed_at < $2

-- name: attachments
delete from asoe.attachments where org_id = $1 and created_at < $2

-- name: idempotency_keys
delete from asoe.idempotency_keys where org_id = $1 and created_at < $2

-- name: erase_tickets
-- text and names go, counts stay; held in one order, so that two who hold several cannot wait for each other
with held as (
  select id from public.support_tickets where org_id = $1 and id = any($2::uuid[]) order by id for no key update
)
update public.support_tickets t set subject = '[erased]', body = '[erased]', metadata = '{}', cc = '{}', tags = '{}',
  custom_fields = '{}', resolution = t.resolution - 'summary' - 'evidence', fingerprint = null,
  triage = case when t.triage ? 'evidence' then jsonb_set(t.triage, '{evidence}', '{"words": [], "similar": []}')
    else t.triage end
from held where t.id = held.id

-- name: erase_messages
-- also where a merge has copied them to
update asoe.session_messages set content = '[erased]', data = '{}'
where org_id = $1 and (ticket_id = any($2::uuid[]) or (data ? 'merged_from' and ticket_id in (
  select l.other_id from asoe.ticket_links l where l.org_id = $1 and l.ticket_id = any($2::uuid[]) and l.kind = 'duplicate_of')
  and (data ->> 'merged_from')::uuid = any($2::uuid[])))

-- name: erase_mails
delete from asoe.mails where org_id = $1 and ticket_id = any($2::uuid[])

-- name: erase_attachments
delete from asoe.attachments where org_id = $1 and ticket_id = any($2::uuid[])

-- name: erase_escalations
update asoe.escalations set dossier = '{"wants": "[erased]"}' where org_id = $1 and ticket_id = any($2::uuid[])

-- name: erase_answers
-- what a suggested answer said: of articles, and perhaps of what the client had said
update asoe.answers set words = null where org_id = $1 and ticket_id = any($2::uuid[]) and words is not null

-- name: erase_advice
-- what was made of the client's words goes with them; ids and counts stay
update asoe.recommendations set vector = null where org_id = $1 and tickets && $2::uuid[]

-- name: erase_contact
-- the row stays, so that counts by contact stay true; nothing in it says who it was
update asoe.contacts set email = null, phone = null, external_id = null, name = '[erased]', language = null,
  user_id = null, erased_at = clock_timestamp()
where org_id = $1 and id = $2

-- name: tickets_of_contact
-- under the contact's name, or under the account it belongs to
select t.id from public.support_tickets t
where t.org_id = $1 and (t.contact_id = $2
  or t.user_id = (select c.user_id from asoe.contacts c where c.org_id = $1 and c.id = $2))
order by t.created_at, t.number

-- name: read_tickets
select t.id, t.number, t.created_at, t.status, t.category, t.severity, t.channel, t.language, t.subject, t.body, t.metadata,
  t.custom_fields, t.cc, t.tags
from public.support_tickets t where t.org_id = $1 and t.id = any($2::uuid[])
order by t.created_at, t.number

-- name: messages_of
select id from asoe.session_messages where org_id = $1 and ticket_id = any($2::uuid[])

-- name: attachments_of
select id, ticket_id, name, media_type, size, created_at from asoe.attachments
where org_id = $1 and ticket_id = any($2::uuid[]) and not is_internal order by created_at
