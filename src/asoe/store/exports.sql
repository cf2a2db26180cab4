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

-- name: connectors
select to_jsonb(t) - 'sealed' as line from asoe.connectors t where t.org_id = $1 order by t.name

-- name: connector_troubles
select to_jsonb(t) as line from asoe.connector_troubles t where t.org_id = $1 order by t.at, t.connector_id

-- name: runbooks
select to_jsonb(t) as line from asoe.runbooks t where t.org_id = $1 order by t.name

-- name: runbook_versions
select to_jsonb(t) as line from asoe.runbook_versions t where t.org_id = $1 order by t.runbook_id, t.version

-- name: runbook_autonomy
select to_jsonb(t) as line from asoe.runbook_autonomy t where t.org_id = $1 order by t.runbook_id

-- name: runbook_runs
select to_jsonb(t) as line from asoe.runbook_runs t where t.org_id = $1 order by t.created_at, t.id

-- name: run_steps
select to_jsonb(t) as line from asoe.run_steps t where t.org_id = $1 order by t.run_id, t.seq

-- name: run_actions
select to_jsonb(t) as line from asoe.run_actions t where t.org_id = $1 order by t.intended_at, t.id

-- name: run_judgements
select to_jsonb(t) as line from asoe.run_judgements t where t.org_id = $1 order by t.at, t.run_id, t.source

-- name: approvals
select to_jsonb(t) as line from asoe.approvals t where t.org_id = $1 order by t.requested_at, t.id

-- name: approval_votes
select to_jsonb(t) as line from asoe.approval_votes t where t.org_id = $1 order by t.at, t.approval_id, t.user_id

-- name: emergency_stops
select to_jsonb(t) as line from asoe.emergency_stops t where t.org_id = $1 order by t.stopped_at, t.id

-- name: backtests
select to_jsonb(t) as line from asoe.backtests t where t.org_id = $1 order by t.created_at, t.id

-- name: credit_accounts
select to_jsonb(t) as line from asoe.credit_accounts t where t.org_id = $1 order by t.kind, t.client

-- name: credit_works
select to_jsonb(t) as line from asoe.credit_works t where t.org_id = $1 order by t.reported_at, t.work

-- name: credit_postings
select to_jsonb(t) as line from asoe.credit_postings t where t.org_id = $1 order by t.posted_at, t.id

-- name: credit_entries
select to_jsonb(t) as line from asoe.credit_entries t where t.org_id = $1 order by t.posting_id, t.account_id

-- name: incidents
select to_jsonb(t) as line from asoe.incidents t where t.org_id = $1 order by t.number

-- name: incident_signs
select to_jsonb(t) as line from asoe.incident_signs t where t.org_id = $1 order by t.at, t.ticket_id, t.key

-- name: incident_tickets
select to_jsonb(t) as line from asoe.incident_tickets t where t.org_id = $1 order by t.linked_at, t.ticket_id

-- name: incident_notices
select to_jsonb(t) as line from asoe.incident_notices t where t.org_id = $1 order by t.at, t.client_key

-- name: incident_updates
select to_jsonb(t) as line from asoe.incident_updates t where t.org_id = $1 order by t.incident_id, t.number

-- name: alert_sources
select to_jsonb(t) - 'sealed' as line from asoe.alert_sources t where t.org_id = $1 order by t.name

-- name: alerts
select to_jsonb(t) as line from asoe.alerts t where t.org_id = $1 order by t.source_id, t.fingerprint

-- name: assignments
select to_jsonb(t) as line from asoe.assignments t where t.org_id = $1 order by t.given_at, t.id

-- name: service_clocks
select to_jsonb(t) as line from asoe.service_clocks t where t.org_id = $1 order by t.ticket_id, t.kind, t.started_at

-- name: canned_replies
select to_jsonb(t) as line from asoe.canned_replies t where t.org_id = $1 order by t.name

-- name: org_intents
select to_jsonb(t) - 'vectors' - 'base_version' as line from asoe.org_intents t where t.org_id = $1 order by t.name

-- name: saved_views
select to_jsonb(t) as line from asoe.saved_views t where t.org_id = $1 order by t.user_id, t.name

-- name: widgets
select to_jsonb(t) - 'salt' - 'earlier_salt' as line from asoe.widgets t where t.org_id = $1

-- name: mailboxes
select to_jsonb(t) - 'sealed' as line from asoe.mailboxes t where t.org_id = $1 order by t.address

-- name: mails
select to_jsonb(t) - 'sender_hash' - 'words_hash' as line from asoe.mails t where t.org_id = $1 order by t.received_at, t.id

-- name: webhooks
select to_jsonb(t) - 'sealed' as line from asoe.webhooks t where t.org_id = $1 order by t.name

-- name: task_pushes
select to_jsonb(t) - 'sealed' as line from asoe.task_pushes t where t.org_id = $1 order by t.created_at, t.id

-- name: notification_preferences
select to_jsonb(t) as line from asoe.notification_preferences t where t.org_id = $1 order by t.user_id

-- name: deliveries
select to_jsonb(t) as line from asoe.deliveries t where t.org_id = $1 order by t.created_at, t.id

-- name: model_spend
select to_jsonb(t) as line from asoe.model_spend t where t.org_id = $1 order by t.day

-- name: recommendations
select to_jsonb(t) - 'vector' as line from asoe.recommendations t where t.org_id = $1 order by t.number

-- name: answers
select to_jsonb(t) as line from asoe.answers t where t.org_id = $1 order by t.at, t.id

-- name: answer_judgements
select to_jsonb(t) as line from asoe.answer_judgements t where t.org_id = $1 order by t.at, t.answer_id, t.source

-- name: answer_certificates
select to_jsonb(t) as line from asoe.answer_certificates t where t.org_id = $1 order by t.made_at, t.category

-- name: topics
select to_jsonb(t) - 'center' as line from asoe.topics t where t.org_id = $1 order by t.number

-- name: facts
select to_jsonb(t) - 'xid' as line from asoe.facts t where t.org_id = $1 order by t.id
