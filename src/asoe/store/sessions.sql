-- name: insert
insert into public.support_sessions (id, ticket_id, assistant_type, created_at) values ($1, $2, $3, $4)

-- name: find
-- a session is found only inside the organization of the transaction
select s.id, s.ticket_id, s.assistant_type, s.resolved, s.created_at
from public.support_sessions s join public.support_tickets t on t.id = s.ticket_id
where t.org_id = $1 and s.id = $2

-- name: of_ticket
select s.id, s.ticket_id, s.assistant_type, s.resolved, s.created_at
from public.support_sessions s join public.support_tickets t on t.id = s.ticket_id
where t.org_id = $1 and s.ticket_id = $2
order by s.created_at, s.id

-- name: add
-- seq is given under the session's lock, so that concurrent messages are all kept, in order
insert into asoe.session_messages (org_id, id, session_id, ticket_id, seq, role, content, author, is_internal, data)
values ($1, $2, $3, $4, asoe.next_message_seq($3),
  $5, $6, $7, $8, $9)
returning seq, created_at

-- name: begin
-- a new session and its first message; nobody else can know it yet: no lock, no counting
with session as (
  insert into public.support_sessions (id, ticket_id, assistant_type, created_at) values ($3, $4, $8, $9)
)
insert into asoe.session_messages (org_id, id, session_id, ticket_id, seq, role, content, author, data)
values ($1, $2, $3, $4, 1, $5, $6, $7, $10)

-- name: messages
select id, session_id, ticket_id, seq, role, content, created_at, author, is_internal, data
from asoe.session_messages
where org_id = $1 and session_id = $2 and seq > $3
order by seq
limit $4

-- name: messages_of_ticket
select id, session_id, ticket_id, seq, role, content, created_at, author, is_internal, data
from asoe.session_messages
where org_id = $1 and ticket_id = $2
order by created_at desc, seq desc
limit $3

-- name: messages_of_tickets
-- everything said on these tickets, for whoever hands it out
select id, session_id, ticket_id, seq, role, content, created_at, author, is_internal, data
from asoe.session_messages
where org_id = $1 and ticket_id = any($2::uuid[])
order by created_at, seq

-- name: set_assistant
update public.support_sessions set assistant_type = $2 where id = $1

-- name: set_assistant_of_ticket
update public.support_sessions set assistant_type = $2 where ticket_id = $1 and assistant_type <> $2

-- name: set_resolved
update public.support_sessions set resolved = $2 where id = $1

-- name: set_resolved_of_ticket
update public.support_sessions set resolved = $2 where ticket_id = $1 and resolved <> $2

-- name: mirror_differs
-- the law test's recount: sessions whose mirror is not what the rows say
select s.id
from public.support_sessions s
where coalesce(s.messages, '[]'::jsonb) <> coalesce((
  select jsonb_agg(jsonb_build_object('id', m.id, 'seq', m.seq, 'role', m.role, 'content', m.content,
    'timestamp', m.created_at) order by m.seq)
  from asoe.session_messages m where m.session_id = s.id and not m.is_internal), '[]'::jsonb)
