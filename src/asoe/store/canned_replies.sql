-- name: put
insert into asoe.canned_replies (org_id, name, title, body, language, created_by) values ($1, $2, $3, $4, $5, $6)
on conflict (org_id, name) do update set title = excluded.title, body = excluded.body, language = excluded.language,
  updated_at = clock_timestamp()
returning id, name, title, body, language, created_at, updated_at

-- name: find
select id, name, title, body, language, created_at, updated_at from asoe.canned_replies where org_id = $1 and name = $2

-- name: list_all
select id, name, title, body, language, created_at, updated_at from asoe.canned_replies
where org_id = $1 and ($2::text is null or language is null or language = $2) order by title, name limit 500

-- name: remove
delete from asoe.canned_replies where org_id = $1 and name = $2
