-- when: before deploy
-- Due runs of a suspended organization wait until it is open again: they would fill the list, and nobody else's would go on.

create or replace function asoe.system_due_runs(max_rows integer)
returns table (org_id uuid, run_id uuid, due_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select r.org_id, r.id, coalesce(r.due_at, r.held_until, r.created_at)
  from asoe.runbook_runs r join asoe.organization_profiles p on p.org_id = r.org_id
  where r.ended_at is null and coalesce(r.due_at, r.held_until, r.created_at) <= now() and p.suspended_at is null
    and (r.status <> 'waiting' or r.due_at is not null)
  order by 3 limit max_rows
$$;
