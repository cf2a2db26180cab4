-- name: put
-- the same name again leads elsewhere; another account's task is never touched
insert into asoe.task_pushes (org_id, id, ticket_id, user_id, name, place, sealed, allow_private)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (org_id, ticket_id, name) do update
  set place = excluded.place, sealed = excluded.sealed, allow_private = excluded.allow_private
  where asoe.task_pushes.user_id = excluded.user_id
returning id, ticket_id, user_id, name, place, sealed, allow_private, created_at

-- name: id_of
select id from asoe.task_pushes where org_id = $1 and ticket_id = $2 and name = $3

-- name: of_ticket
select id, ticket_id, user_id, name, place, sealed, allow_private, created_at from asoe.task_pushes
where org_id = $1 and ticket_id = $2 and user_id = $3 order by created_at, id limit 100

-- name: find
-- of an account that may still act
select p.id, p.ticket_id, p.user_id, p.name, p.place, p.sealed, p.allow_private, p.created_at
from asoe.task_pushes p join asoe.members m on m.org_id = p.org_id and m.user_id = p.user_id and m.disabled_at is null
where p.org_id = $1 and p.id = $2

-- name: ids_of_tickets
select ticket_id, id from asoe.task_pushes where org_id = $1 and ticket_id = any($2::uuid[]) order by created_at, id

-- name: remove
delete from asoe.task_pushes where org_id = $1 and id = $2 returning id
