-- name: put
-- the same name again replaces what it stands for
insert into asoe.saved_views (org_id, user_id, name, filters, is_shared) values ($1, $2, $3, $4, $5)
on conflict (org_id, user_id, name) do update set filters = excluded.filters, is_shared = excluded.is_shared
returning id, user_id, name, filters, is_shared

-- name: count_own
select count(*) from asoe.saved_views where org_id = $1 and user_id = $2

-- name: list_visible
-- row-level security leaves one's own and the shared ones
select id, user_id, name, filters, is_shared from asoe.saved_views
where org_id = $1 order by is_shared, name, id limit 200

-- name: remove
delete from asoe.saved_views where org_id = $1 and id = $2 returning id, user_id, name, filters, is_shared
