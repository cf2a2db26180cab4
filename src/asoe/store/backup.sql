-- name: snapshot
-- what pg_dump and our own counts both read
select pg_export_snapshot()

-- name: tables
-- everything of ours that holds rows, partitions counted through their parents
select format('%I.%I', n.nspname, c.relname) as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'asoe', 'queue', 'auth') and c.relkind in ('r', 'p') and not c.relispartition
order by 1

-- name: is_ours
-- whether accounts and schema were made by our migrations, and not by a platform that has a backup of its own
select coalesce(bool_and(nspowner = (select o.nspowner from pg_namespace o where o.nspname = 'asoe')), true)
from pg_namespace where nspname in ('auth', 'asoe', 'queue')

-- name: sessions
-- other sessions of API and worker processes
select count(*) from pg_stat_activity
where datname = current_database() and usename in ('asoe_app', 'asoe_system') and pid <> pg_backend_pid()

-- name: is_migrated
select to_regclass('public.organizations') is not null

-- name: migrations
select number from asoe.migrations order by number

-- name: settle_facts
-- transaction numbers of another cluster may be ahead of this one's, whose new facts would then come before the old ones and
-- be skipped by every reader: what is restored counts as long committed, in the order of its ids, what was sealed first
with ahead as materialized (
  select from asoe.facts where xid >= pg_snapshot_xmin(pg_current_snapshot()) limit 1
), told as (
  update asoe.notification_cursors set xid = '0' where exists (select from ahead)
), counted as (
  update asoe.insight_cursors set xid = 0 where exists (select from ahead)
), watched as (
  update asoe.service_watches set xid = 0 where exists (select from ahead)
), sealed as materialized (
  select org_id, unnest(fact_ids) as id from asoe.audit_blocks where exists (select from ahead)
), kept as (
  update asoe.audit_blocks set until_xid = '0', until_id = 9223372036854775807 where exists (select from ahead)
)
update asoe.facts f
set xid = case when exists (select from sealed s where s.org_id = f.org_id and s.id = f.id) then '0'::xid8 else '1'::xid8 end
where exists (select from ahead)

-- name: clear
-- an installation without a single organization or account makes room for what is restored
drop table if exists public.support_sessions, public.support_tickets, public.user_organizations, public.organizations cascade;
drop function if exists public.uuid_generate_v4();
drop schema if exists asoe, queue, auth cascade
