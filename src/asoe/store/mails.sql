-- name: find
select id, message_id, kind, reason, ticket_id, is_verified, files_kept, received_at, words_hash
from asoe.mails where org_id = $1 and id = $2

-- name: add
insert into asoe.mails (org_id, id, message_id, sender_hash, kind, reason, ticket_id, is_verified, authentication, files_kept,
  received_at, words_hash)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (org_id, id) do nothing
returning id

-- name: keep_files
update asoe.mails set files_kept = true where org_id = $1 and id = $2

-- name: count_of_sender
select count(*) from asoe.mails where org_id = $1 and sender_hash = $2 and received_at > $3

-- name: ids_of_ticket
-- what the client wrote, for the headers of our answer
select message_id from asoe.mails
where org_id = $1 and ticket_id = $2 and kind in ('opened', 'added') order by received_at desc limit 10

-- name: ticket_of
-- the newest ticket that one of these mails belongs to
select ticket_id from asoe.mails
where org_id = $1 and id = any($2::uuid[]) and ticket_id is not null order by received_at desc limit 1

-- name: owed
-- what was said to clients of mail tickets and is not on its way yet; the engine's words and people's, never notes
select m.id as message_id, m.ticket_id, m.session_id, m.created_at, t.contact_id
from asoe.session_messages m
join public.support_tickets t on t.org_id = m.org_id and t.id = m.ticket_id
join asoe.contacts c on c.org_id = t.org_id and c.id = t.contact_id
where m.org_id = $1 and m.ticket_id = any($2::uuid[]) and t.channel = 'email' and not t.is_spam and m.role <> 'user'
  and not m.is_internal and c.email is not null and c.blocked_at is null
  and not exists (select from asoe.deliveries d where d.org_id = m.org_id and d.ticket_id = m.ticket_id
    and d.recipient = 'contact:' || t.contact_id and d.data ->> 'message_id' = m.id::text)
order by m.created_at, m.seq

-- name: message
-- what a mail to a client says: one message, its ticket and its contact as they are now
select m.content, t.number, t.subject, t.language, c.email, c.name
from asoe.session_messages m
join public.support_tickets t on t.org_id = m.org_id and t.id = m.ticket_id
join asoe.contacts c on c.org_id = t.org_id and c.id = $4
where m.org_id = $1 and m.ticket_id = $2 and m.id = $3 and c.blocked_at is null
