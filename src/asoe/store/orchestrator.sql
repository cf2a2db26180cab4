-- name: record_run
-- every autonomous pass over a ticket is one run with a row per agent that took part, in the transaction of its step
with run as (
  insert into asoe.orchestrator_runs
    (org_id, id, ticket_id, initiator, entrypoint, plan, status, error, started_at, ended_at, basis)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12)
)
insert into asoe.agent_invocations
  (org_id, run_id, ticket_id, agent, engine_type, input_summary, output_summary, tokens_in, tokens_out,
   cost_usd, status, started_at, ended_at)
select $1, $2, $3, part.agent, part.engine_type, part.input_summary, part.output_summary, part.tokens_in, part.tokens_out,
  part.cost_usd, 'completed', part.started_at, part.ended_at
from jsonb_to_recordset($11::jsonb) as part(agent text, engine_type text, input_summary jsonb, output_summary jsonb,
  tokens_in integer, tokens_out integer, cost_usd numeric, started_at timestamptz, ended_at timestamptz)

-- name: runs_of_ticket
-- newest first, with their invocations
select r.id, r.initiator, r.entrypoint, r.plan, r.status, r.error, r.created_at, r.started_at, r.ended_at,
  coalesce((select jsonb_agg(jsonb_build_object('agent', i.agent, 'engine_type', i.engine_type,
      'input', i.input_summary, 'output', i.output_summary, 'status', i.status, 'tokens_in', i.tokens_in,
      'tokens_out', i.tokens_out, 'started_at', i.started_at, 'ended_at', i.ended_at) order by i.started_at)
    from asoe.agent_invocations i where i.org_id = r.org_id and i.run_id = r.id), '[]'::jsonb) as invocations
from asoe.orchestrator_runs r
where r.org_id = $1 and r.ticket_id = $2
order by r.created_at desc
limit $3

-- name: find_run
-- one of them, with what it went by
select r.id, r.ticket_id, r.initiator, r.entrypoint, r.plan, r.status, r.error, r.basis, r.created_at, r.started_at, r.ended_at,
  coalesce((select jsonb_agg(jsonb_build_object('agent', i.agent, 'engine_type', i.engine_type,
      'input', i.input_summary, 'output', i.output_summary, 'status', i.status, 'tokens_in', i.tokens_in,
      'tokens_out', i.tokens_out, 'cost_usd', i.cost_usd, 'started_at', i.started_at, 'ended_at', i.ended_at) order by i.started_at)
    from asoe.agent_invocations i where i.org_id = r.org_id and i.run_id = r.id), '[]'::jsonb) as invocations
from asoe.orchestrator_runs r
where r.org_id = $1 and r.id = $2
