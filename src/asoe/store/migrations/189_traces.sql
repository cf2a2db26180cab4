-- when: before deploy
-- Which trace something happened in (docs/operations/tracing.md): a W3C traceparent, nothing that a client wrote, and nothing
-- at all where nobody listens. What wakes up later (a delivery, a timer) goes on from there. The audit trail does not seal it.
alter table asoe.facts add column trace text;
alter table asoe.facts alter column trace set default nullif(current_setting('asoe.trace', true), '');

-- A job carries its trace, and still nothing else.
alter table queue.pgqueuer drop constraint headers_none;
alter table queue.pgqueuer add constraint headers_trace_only check (headers is null or headers::text ~
  '^\{"otel": \{"(traceparent|link)": "00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"\}\}$');
