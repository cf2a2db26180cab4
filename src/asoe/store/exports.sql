-- name: organization
select to_jsonb(t) as line from asoe.organization_profiles t where t.org_id = $1 order by t.slug

-- name: members
select to_jsonb(t) as line from asoe.members t where t.org_id = $1 order by t.created_at, t.user_id

-- name: keys
select to_jsonb(t) - 'hash' as line from asoe.api_keys t where t.org_id = $1 order by t.created_at, t.id

-- name: invitations
select to_jsonb(t) - 'hash' as line from asoe.invitations t where t.org_id = $1 order by t.created_at, t.id

-- name: contacts
select to_jsonb(t) as line from asoe.contacts t where t.org_id = $1 order by t.created_at, t.id

-- name: fields
select to_jsonb(t) as line from asoe.field_definitions t where t.org_id = $1

-- name: tickets
select to_jsonb(t) - 'search' - 'fingerprint' as line from public.support_tickets t where t.org_id = $1 order by t.number

-- name: sessions
select to_jsonb(t) - 'messages' as line from public.support_sessions t where exists (select 1 from public.support_tickets k where k.id = t.ticket_id and k.org_id = $1) order by t.created_at, t.id

-- name: messages
select to_jsonb(t) as line from asoe.session_messages t where t.org_id = $1 order by t.ticket_id, t.session_id, t.seq

-- name: attachments
select to_jsonb(t) as line from asoe.attachments t where t.org_id = $1 order by t.created_at, t.id

-- name: links
select to_jsonb(t) as line from asoe.ticket_links t where t.org_id = $1

-- name: escalations
select to_jsonb(t) as line from asoe.escalations t where t.org_id = $1 order by t.created_at, t.id

-- name: journeys
select to_jsonb(t) as line from asoe.journeys t where t.org_id = $1 order by t.ticket_id

-- name: runs
select to_jsonb(t) as line from asoe.orchestrator_runs t where t.org_id = $1 order by t.created_at, t.id

-- name: invocations
select to_jsonb(t) as line from asoe.agent_invocations t where t.org_id = $1 order by t.started_at, t.id

-- name: corrections
select to_jsonb(t) as line from asoe.corrections t where t.org_id = $1 order by t.created_at, t.id

-- name: articles
select to_jsonb(t) as line from asoe.articles t where t.org_id = $1 order by t.slug, t.language

-- name: article_versions
select to_jsonb(t) as line from asoe.article_versions t where t.org_id = $1 order by t.article_id, t.version

-- name: blocked_senders
select to_jsonb(t) as line from asoe.blocked_senders t where t.org_id = $1 order by t.pattern

-- name: imported_tickets
select to_jsonb(t) as line from asoe.imported_tickets t where t.org_id = $1 order by t.source, t.external_id

-- name: models
select to_jsonb(t) - 'arrays' as line from asoe.models t where t.org_id = $1 order by t.version

-- name: complaints
select to_jsonb(t) as line from asoe.complaints t where t.org_id = $1 order by t.created_at, t.ticket_id

-- name: wishes
select to_jsonb(t) - 'embedding' as line from asoe.wishes t where t.org_id = $1 order by t.number

-- name: wish_supporters
select to_jsonb(t) as line from asoe.wish_supporters t where t.org_id = $1 order by t.created_at, t.id

-- name: facts
select to_jsonb(t) - 'xid' as line from asoe.facts t where t.org_id = $1 order by t.id
