-- when: before deploy
-- Due runs of a suspended organization wait until it is open again: they would fill the list, and nobody else's would go on.
-- For the same reason each organization's first comes before any organization's second.

create or replace function asoe.system_due_runs(max_rows integer)
returns table (org_id uuid, run_id uuid, due_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select due.org_id, due.id, due.at
  from (
    select r.org_id, r.id, coalesce(r.due_at, r.held_until, r.created_at) as at,
      row_number() over (partition by r.org_id order by coalesce(r.due_at, r.held_until, r.created_at)) as place
    from asoe.runbook_runs r join asoe.organization_profiles p on p.org_id = r.org_id
    where r.ended_at is null and coalesce(r.due_at, r.held_until, r.created_at) <= now() and p.suspended_at is null
      and (r.status <> 'waiting' or r.due_at is not null)
  ) due
  order by due.place, due.at limit max_rows
$$;
