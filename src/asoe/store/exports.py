"""Everything an organization has, noun by noun, as its owner sees it: for files. Search data and secrets stay out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class ExportsSql(NamedQueries):
    organization: str
    members: str
    keys: str
    invitations: str
    contacts: str
    fields: str
    tickets: str
    sessions: str
    messages: str
    attachments: str
    links: str
    escalations: str
    journeys: str
    runs: str
    invocations: str
    corrections: str
    articles: str
    article_versions: str
    blocked_senders: str
    imported_tickets: str
    wishes: str
    models: str
    complaints: str
    wish_supporters: str
    connectors: str
    connector_troubles: str
    runbooks: str
    runbook_versions: str
    runbook_autonomy: str
    runbook_runs: str
    run_steps: str
    run_actions: str
    run_judgements: str
    approvals: str
    approval_votes: str
    emergency_stops: str
    backtests: str
    credit_accounts: str
    credit_works: str
    credit_postings: str
    credit_entries: str
    incidents: str
    incident_signs: str
    incident_tickets: str
    incident_notices: str
    incident_updates: str
    alert_sources: str
    alerts: str
    assignments: str
    service_clocks: str
    canned_replies: str
    org_intents: str
    saved_views: str
    widgets: str
    mailboxes: str
    mails: str
    webhooks: str
    task_pushes: str
    notification_preferences: str
    deliveries: str
    model_spend: str
    recommendations: str
    answers: str
    answer_judgements: str
    answer_certificates: str
    topics: str
    facts: str


NOUNS: Final = tuple(name for name in ExportsSql.__annotations__)
LEFT_OUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "public.organizations": "its id stands on every line",
        "public.user_organizations": "members.jsonl says the same, with roles",
        "asoe.article_chunks": "made anew from the articles",
        "asoe.chunk_corpora": "made anew from the articles",
        "asoe.chunk_index": "made anew from the articles",
        "asoe.chunk_lexemes": "made anew from the articles",
        "asoe.question_index": "made anew from the articles",
        "asoe.ticket_tally": "counted anew from the tickets",
        "asoe.insight_tickets": "counted anew from tickets and facts",
        "asoe.insight_days": "counted anew from tickets and facts",
        "asoe.insight_cursors": "up to where the facts are counted",
        "asoe.notification_cursors": "up to where the facts are told",
        "asoe.service_watches": "up to where the facts are watched",
        "asoe.recommendation_looks": "when recommendations were looked for last",
        "asoe.spike_watches": "learned anew from the tickets",
        "asoe.topic_tickets": "found anew in the tickets",
        "asoe.topic_searches": "when topics were found last",
        "asoe.idempotency_keys": "answers kept for a day, for requests that are sent twice",
        "asoe.presences": "who looks at a ticket at this moment",
        "asoe.audit_blocks": "asoe audit export writes the sealed trail, with what proves it",
        "asoe.audit_salts": "secret: with them what is said of clients could be guessed",
    }
)
"""Tables of an organization that no file holds, and why. A law compares both with the tables there are."""
_AHEAD: Final = 50


async def rows(connection: Connection, org_id: UUID, noun: str) -> AsyncIterator[dict[str, Any]]:
    """The noun's rows as plain values, read with a cursor."""
    async for row in connection.cursor(getattr(ExportsSql, noun), org_id, prefetch=_AHEAD):
        yield row["line"]
