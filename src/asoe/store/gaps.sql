-- name: unanswered
-- tickets that went to a person because no article answered them, newest first, and whether a person has answered since
select t.id, t.number, t.subject, t.body, t.metadata, t.language, max(e.created_at) as at,
  coalesce('contact:' || t.contact_id, 'user:' || t.user_id, 'ticket:' || t.id) as client,
  exists (select from asoe.session_messages m where m.org_id = t.org_id and m.ticket_id = t.id and m.role = 'agent'
    and not m.is_internal) as is_answered
from asoe.escalations e join public.support_tickets t on t.org_id = e.org_id and t.id = e.ticket_id
where e.org_id = $1 and e.created_at >= $2 and e.reasons && array['no_grounded_answer', 'answer_did_not_help']
  and not t.is_spam and t.merged_into is null and t.body <> '[erased]'
group by t.org_id, t.id order by at desc, t.id limit $3
