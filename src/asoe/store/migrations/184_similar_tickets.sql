-- when: before deploy
-- Every page of a ticket shows the newest others that wanted the same and ended: five rows, not a search through all of them.

create index support_tickets_ended_intent on public.support_tickets (org_id, intent, created_at desc, id desc)
  where status in ('resolved', 'closed') and not is_spam;
