-- when: before deploy
-- Judged tickets that nothing made a repeat yet, by client: those that a ticket which comes late may still make one. A client who
-- writes a thousand times a week has few of them.
create index insight_tickets_first_times on asoe.insight_tickets (org_id, client, day)
  where client is not null and repeated = 0 and judged_at is not null;
