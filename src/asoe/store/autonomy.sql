-- name: standing
select coalesce(a.level, 'approve') as level, a.loan, a.braked_at, a.braked_why,
  coalesce(a.evidence_since, '-infinity'::timestamptz) as evidence_since,
  coalesce(e.cases, 0) as cases, coalesce(e.errors, 0) as errors
from asoe.runbooks r
left join asoe.runbook_autonomy a on a.org_id = r.org_id and a.runbook_id = r.id
left join lateral (
  select count(*) as cases, count(*) filter (where not j.is_right) as errors
  from (
    select run_id, coalesce(bool_and(is_right) filter (where source in ('audit', 'person')), bool_and(is_right)) as is_right
    from asoe.run_judgements
    where org_id = r.org_id and runbook_id = r.id and at >= coalesce(a.evidence_since, '-infinity'::timestamptz)
      and (r.published_version is null or version = r.published_version)
    group by run_id having bool_or(source in ('audit', 'person', 'shadow', 'reopen'))
  ) j
) e on true
where r.org_id = $1 and r.id = $2

-- name: deciding
-- all that decides on one act of a run by version $3, in one round trip: where the runbook stands, the organization's
-- settings, the emergency stop
select {decides}, s.reason as stopped, nullif(b.published_version, $3) as newer
from (select $1::uuid as org_id, $2::uuid as runbook_id, $3::integer as version) r
{deciding}
left join asoe.emergency_stops s on s.org_id = r.org_id and s.released_at is null

-- name: decides
-- what is read of where a runbook stands, for whoever decides on an act in a round trip of its own
coalesce(a.level, 'approve') as level, a.loan, a.braked_at, a.braked_why,
coalesce(e.cases, 0) as cases, coalesce(e.errors, 0) as errors, p.settings

-- name: joined
-- from where, beside an r with org_id, runbook_id and version
join asoe.runbooks b on b.org_id = r.org_id and b.id = r.runbook_id
left join asoe.runbook_autonomy a on a.org_id = r.org_id and a.runbook_id = r.runbook_id
left join asoe.organization_profiles p on p.org_id = r.org_id
left join lateral (
  select count(*) as cases, count(*) filter (where not j.is_right) as errors
  from (
    select run_id, coalesce(bool_and(is_right) filter (where source in ('audit', 'person')), bool_and(is_right)) as is_right
    from asoe.run_judgements
    where org_id = r.org_id and runbook_id = r.runbook_id and version = r.version
      and at >= coalesce(a.evidence_since, '-infinity'::timestamptz)
    group by run_id having bool_or(source in ('audit', 'person', 'shadow', 'reopen'))
  ) j
) e on true

-- name: set_level
insert into asoe.runbook_autonomy (org_id, runbook_id, level) values ($1, $2, $3)
on conflict (org_id, runbook_id) do update set
  level = excluded.level, updated_at = clock_timestamp(),
  braked_at = case when excluded.level = 'auto' then null else asoe.runbook_autonomy.braked_at end,
  braked_why = case when excluded.level = 'auto' then null else asoe.runbook_autonomy.braked_why end

-- name: lend
insert into asoe.runbook_autonomy (org_id, runbook_id, level, loan) values ($1, $2, 'auto', $3)
on conflict (org_id, runbook_id) do update set
  level = 'auto', loan = excluded.loan, braked_at = null, braked_why = null, updated_at = clock_timestamp()

-- name: end_loan
update asoe.runbook_autonomy set loan = null, updated_at = clock_timestamp()
where org_id = $1 and runbook_id = $2 and loan is not null

-- name: brake
update asoe.runbook_autonomy set level = 'approve', loan = null, braked_at = clock_timestamp(), braked_why = $3,
  updated_at = clock_timestamp()
where org_id = $1 and runbook_id = $2 and level = 'auto'

-- name: void_evidence
-- also where nobody has set a level yet: what was judged before must not count once somebody does
insert into asoe.runbook_autonomy (org_id, runbook_id, evidence_since) values ($1, $2, clock_timestamp())
on conflict (org_id, runbook_id) do update set evidence_since = excluded.evidence_since, updated_at = clock_timestamp()

-- name: judge
insert into asoe.run_judgements (org_id, run_id, runbook_id, version, is_right, source, judged_by, note)
select r.org_id, r.id, r.runbook_id, r.version, $3, $4, $5, $6 from asoe.runbook_runs r where r.org_id = $1 and r.id = $2
on conflict do nothing

-- name: recent_outcomes
-- runs of the version in use that acted alone: whether something was wrong with each
select coalesce(j.is_wrong, false) or r.status = 'failed' or coalesce(r.reason, '') in ('effect_unknown', 'verification_failed')
  as is_wrong
from asoe.runbook_runs r
join asoe.runbooks b on b.org_id = r.org_id and b.id = r.runbook_id
left join lateral (
  select not coalesce(bool_and(j.is_right) filter (where j.source in ('audit', 'person')), bool_and(j.is_right)) as is_wrong
  from asoe.run_judgements j where j.org_id = r.org_id and j.run_id = r.id
) j on true
where r.org_id = $1 and r.runbook_id = $2 and r.mode = 'live' and r.ended_at is not null and r.ended_at >= $3
  and (b.published_version is null or r.version = b.published_version)
  and exists (select from asoe.run_actions a where a.org_id = r.org_id and a.run_id = r.id
    and a.approval_id is null and not a.is_undo and a.status in ('done', 'undone', 'unknown'))
order by r.ended_at desc limit $4

-- name: acted_since
select count(*) as acts, coalesce(sum(a.amount), 0) as total
from asoe.run_actions a join asoe.runbook_runs r on r.org_id = a.org_id and r.id = a.run_id
where a.org_id = $1 and r.runbook_id = $2 and a.intended_at >= $3 and not a.is_undo
  and a.status in ('intended', 'done', 'unknown')

-- name: lock_runbook
select pg_advisory_xact_lock(hashtextextended('autonomy:' || $1 || ':' || $2, 0))

-- name: to_audit
-- a fixed random share of the runs that acted alone, not yet audited; shown without their verdict
select r.id, r.runbook_id, r.ticket_id, r.ended_at
from asoe.runbook_runs r
where r.org_id = $1 and r.mode = 'live' and r.status in ('verified', 'unverified')
  and ('x' || substr(md5(r.id::text), 1, 8))::bit(32)::bigint % 1000 < $2 * 1000
  and not exists (select from asoe.run_judgements j where j.org_id = r.org_id and j.run_id = r.id and j.source = 'audit')
  and exists (select from asoe.run_actions a where a.org_id = r.org_id and a.run_id = r.id
    and a.approval_id is null and a.status = 'done')
order by r.ended_at limit $3

-- name: stop
insert into asoe.emergency_stops (org_id, stopped_by, reason) values ($1, $2, $3)
on conflict (org_id) where released_at is null do nothing

-- name: release
update asoe.emergency_stops set released_by = $2, released_at = clock_timestamp() where org_id = $1 and released_at is null

-- name: stopped
select reason from asoe.emergency_stops where org_id = $1 and released_at is null
