-- name: find
select is_on, takes_anonymous, shows_help, origins, theme, accent, greetings, salt is not null as has_secret, secret_made_at,
  changed_at
from asoe.widgets where org_id = $1

-- name: save
insert into asoe.widgets (org_id, is_on, takes_anonymous, shows_help, origins, theme, accent, greetings, changed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (org_id) do update set is_on = excluded.is_on, takes_anonymous = excluded.takes_anonymous,
  shows_help = excluded.shows_help, origins = excluded.origins, theme = excluded.theme, accent = excluded.accent,
  greetings = excluded.greetings, changed_at = excluded.changed_at

-- name: set_salt
-- the secret before it is good until $4
insert into asoe.widgets as w (org_id, salt, secret_made_at) values ($1, $2, $3)
on conflict (org_id) do update set earlier_salt = w.salt, earlier_until = $4, salt = excluded.salt,
  secret_made_at = excluded.secret_made_at

-- name: salts
select salt, case when earlier_until > $2 then earlier_salt end as earlier from asoe.widgets where org_id = $1

-- name: find_contact
-- nobody who was erased
select id, email, phone, external_id, name, language, user_id, blocked_at, created_at
from asoe.contacts
where org_id = $1 and (id = $2 or external_id = $3) and erased_at is null

-- name: conversations
-- newest first, each with the last that its client may see
select t.id, t.number, t.subject, left(t.body, 200) as opening, t.status, t.waiting_for, t.created_at, t.updated_at,
  m.role, left(m.content, 200) as last, m.created_at as said_at
from public.support_tickets t
left join lateral (
  select role, content, created_at from asoe.session_messages
  where org_id = t.org_id and ticket_id = t.id and not is_internal order by created_at desc, seq desc limit 1) m on true
where t.org_id = $1 and t.contact_id = $2 and not t.is_spam and t.merged_into is null
order by t.created_at desc, t.id desc
limit $3
