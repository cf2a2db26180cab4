-- name: all_organizations
-- owner connection only: for the operator's list
select p.slug, p.name, p.org_id, p.created_at, p.suspended_at,
  (select count(*) from asoe.members m where m.org_id = p.org_id and m.kind = 'person' and m.disabled_at is null) as members
from asoe.organization_profiles p
order by p.created_at, p.slug

-- name: totals
-- sums over all organizations for /metrics (asoe_system)
select name, label, total from asoe.system_totals()

-- name: clock
-- what time the database has
select clock_timestamp()

-- name: server
-- what the database is, and whether pgvector is there
select current_setting('server_version') as version, current_setting('server_version_num')::integer as number,
  (select extversion from pg_extension where extname = 'vector') as vector,
  pg_database_size(current_database()) as bytes

-- name: roles
-- the attributes of our roles as the catalog has them
select rolname as name, rolsuper, rolbypassrls, rolcanlogin from pg_roles
where rolname in ('asoe_owner', 'asoe_app', 'asoe_system', 'authenticated', 'anon', 'service_role')

-- name: unprotected
-- tables of ours without enabled and forced row-level security; the queue's hold ids only
select format('%I.%I', n.nspname, c.relname) as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)
  and (n.nspname = 'asoe' or (n.nspname = 'public' and c.relname in ('support_tickets', 'support_sessions')))
order by 1

-- name: partitions
-- the last month each partitioned table is prepared for
select parent.relname as name, max(substring(child.relname from '\d{4}_\d{2}$')) as last_month
from pg_inherits i
join pg_class child on child.oid = i.inhrelid
join pg_class parent on parent.oid = i.inhparent
join pg_namespace n on n.oid = parent.relnamespace
where n.nspname = 'asoe' and parent.relkind = 'p'
group by parent.relname order by parent.relname

-- name: default_rows
-- whether anything new fell into a default partition: none was prepared in time (imported history lies there rightly)
select exists (select 1 from asoe.session_messages_default where created_at > now() - interval '31 days')
  or exists (select 1 from asoe.facts_default where at > now() - interval '31 days')
  or exists (select 1 from asoe.agent_invocations_default where started_at > now() - interval '31 days') as found

-- name: queue
-- jobs by state, and how long the oldest that could run has waited
select count(*) filter (where status = 'queued') as queued,
  count(*) filter (where status = 'picked') as running,
  count(*) filter (where status = 'failed') as failed,
  count(*) filter (where status = 'picked' and heartbeat < now() - interval '1 minute') as abandoned,
  coalesce(extract(epoch from now() - min(execute_after) filter (where status = 'queued' and execute_after <= now())), 0)::float
    as oldest_seconds
from queue.pgqueuer

-- name: has_worker
-- whether a worker has looked at its crons just now: it does so every few seconds
select exists (select 1 from queue.pgqueuer_schedules
  where greatest(heartbeat, updated) > now() - interval '20 seconds') as found

-- name: tally
-- the counters of one organization beside a recount; the two differ only when something is broken
select (select coalesce(sum(tickets), 0) from asoe.ticket_tally where org_id = $1)::bigint as counted,
  (select count(*) from public.support_tickets where org_id = $1) as found

-- name: is_empty
-- whether an installation holds no organization and no account yet
select not exists (select 1 from public.organizations) and not exists (select 1 from auth.users) as is_empty

-- name: indexing
-- organizations whose published articles are not all indexed as published
select p.slug, count(*) filter (where a.indexed_version is not distinct from a.published_version) as indexed, count(*) as total
from asoe.articles a join asoe.organization_profiles p on p.org_id = a.org_id
where a.status = 'published' and p.suspended_at is null
group by p.slug
having count(*) filter (where a.indexed_version is distinct from a.published_version) > 0
order by p.slug

-- name: mailboxes
-- owner connection only
select p.slug, p.org_id, m.address, m.config::text as config, m.sealed, m.allow_private, m.fetch_trouble
from asoe.mailboxes m join asoe.organization_profiles p on p.org_id = m.org_id
where p.suspended_at is null order by p.slug

-- name: dead_deliveries
-- owner connection only: of the last week
select p.slug, count(*) as count
from asoe.deliveries d join asoe.organization_profiles p on p.org_id = d.org_id
where d.status = 'dead' and d.created_at > now() - interval '7 days' group by p.slug order by p.slug
