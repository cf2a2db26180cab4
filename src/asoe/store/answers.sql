-- name: record
insert into asoe.answers (org_id, ticket_id, message_id, trust, chance, category, intent, model, articles, reopened, at, words)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

-- name: last
-- the newest answer on a ticket, with the articles it cites
select id, articles from asoe.answers where org_id = $1 and ticket_id = $2 order by at desc, id limit 1

-- name: judge
insert into asoe.answer_judgements (org_id, answer_id, source, is_right, judged_by)
select a.org_id, a.id, $3, $4, $5 from asoe.answers a where a.org_id = $1 and a.id = $2
on conflict (org_id, answer_id, source) do update set is_right = excluded.is_right, judged_by = excluded.judged_by,
  at = clock_timestamp()
where asoe.answer_judgements.source <> 'audit'

-- name: evidence
-- judged answers by one model since $2, newest first. Staff's word stands above what a person made of the answer, and that above the
-- client's; a ticket that was reopened after an answer says that it did not do
select a.category, a.chance, j.is_audited,
  coalesce(j.by_staff, t.reopened <= a.reopened and coalesce(j.by_reply, j.by_client, false)) as is_right
from asoe.answers a
join public.support_tickets t on t.org_id = a.org_id and t.id = a.ticket_id
left join lateral (
  select bool_and(is_right) filter (where source in ('person', 'audit')) as by_staff,
    bool_and(is_right) filter (where source = 'reply') as by_reply, bool_and(is_right) filter (where source = 'client') as by_client,
    coalesce(bool_or(source = 'audit'), false) as is_audited
  from asoe.answer_judgements j where j.org_id = a.org_id and j.answer_id = a.id
) j on true
where a.org_id = $1 and a.at > $2 and a.model = $3 and not t.is_spam
  and (j.by_staff is not null or j.by_reply is not null or j.by_client is not null or t.reopened > a.reopened)
order by a.at desc limit $4

-- name: model
-- the model that judges now: that of the newest answer
select model from asoe.answers where org_id = $1 order by at desc limit 1

-- name: suggested
-- the newest answer, if a person was to send it and has sent nothing since that could be compared with it
select id, words from (select id, words, trust from asoe.answers where org_id = $1 and ticket_id = $2 order by at desc, id limit 1) a
where trust = 'suggested' and words is not null
  and not exists (select from asoe.answer_judgements j where j.org_id = $1 and j.answer_id = a.id and j.source = 'reply')

-- name: to_audit
-- a fixed random share of the answers, not yet audited: the answer's own words, and nothing of chance or verdict
select a.id, t.subject, t.body as question, coalesce(m.content, a.words) as answer, a.articles, a.at
from asoe.answers a
join public.support_tickets t on t.org_id = a.org_id and t.id = a.ticket_id
left join asoe.session_messages m on m.org_id = a.org_id and m.id = a.message_id
where a.org_id = $1 and coalesce(m.content, a.words) is not null and ('x' || substr(md5(a.id::text), 1, 8))::bit(32)::bigint % 1000 < $2 * 1000
  and not t.is_spam and t.body <> '[erased]'
  and not exists (select from asoe.answer_judgements j where j.org_id = a.org_id and j.answer_id = a.id and j.source = 'audit')
order by a.at limit $3

-- name: in_sample
select ('x' || substr(md5(a.id::text), 1, 8))::bit(32)::bigint % 1000 < $3 * 1000 as is_in, exists (
  select from asoe.answer_judgements j where j.org_id = a.org_id and j.answer_id = a.id and j.source = 'audit') as is_audited
from asoe.answers a where a.org_id = $1 and a.id = $2
