"""Which role, and which scope of a key, may do what at which route: all of it, in one table. Nothing else decides this.

A route that is not in the table, or a row without a route, refuses the start (`check`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from asoe.domain.errors import Denied
from asoe.domain.organization import Principal
from asoe.domain.people import APPROVE, scope_allows

PUBLIC: Final = frozenset[str]()
ALL: Final = frozenset({"owner", "admin", "agent", "client"})
STAFF: Final = frozenset({"owner", "admin", "agent"})
ADMINS: Final = frozenset({"owner", "admin"})
OWNERS: Final = frozenset({"owner"})
CONTACTS: Final = frozenset({"contact"})
"""Clients of the widget, by their client token: no account of ours, and nobody's role."""

_TICKET: Final = "/api/support/ticket/{ticket_id}"
_SESSION: Final = "/api/support/session/{session_id}"
_READ, _WRITE = "tickets:read", "tickets:write"
_KNOW, _TEACH = "knowledge:read", "knowledge:write"
_INCIDENT: Final = "/api/support/incidents/{incident_id}"
_RUNBOOK: Final = "/api/support/runbooks/{name}"
_SHELF, _RULE = "runbooks:read", "runbooks:write"
_COUNT, _BOOK = "credits:read", "credits:write"
_CHAT: Final = "/api/widget/{org}/conversations/{conversation_id}"
_SEE, _HIRE = "people:read", "people:write"
_WISH: Final = "/api/wishes/{wish_number}"

# fmt: off
TABLE: Final[tuple[tuple[str, str, str, frozenset[str], str | None], ...]] = (
    # method  path                                     permission              roles   scope of a key
    ("POST",   "/api/support/ticket",                  "ticket.open",          ALL,    _WRITE),
    ("POST",   "/api/support/message/{session_id}",    "message.write",        ALL,    _WRITE),
    ("GET",    "/api/support/tickets",                 "ticket.list",          ALL,    _READ),
    ("GET",    "/api/support/open-tickets",            "ticket.list",          ALL,    _READ),
    ("GET",    "/api/support/stats",                   "stats.read",           STAFF,  _READ),
    ("GET",    "/api/support/insights",                "insight.read",         STAFF,  _READ),
    ("GET",    "/api/support/certificates",            "certificate.list",     STAFF,  _READ),
    ("POST",   "/api/support/certificates/renew",      "certificate.renew",    ADMINS, "admin"),
    ("POST",   "/api/support/answers/{answer_id}/audit", "answer.audit",       STAFF,  _WRITE),
    ("GET",    "/api/support/recommendations",         "recommendation.list",  STAFF,  _READ),
    ("POST",   "/api/support/recommendations/look",    "recommendation.look",  STAFF,  _WRITE),
    ("POST",   "/api/support/recommendations/{recommendation_number}/decide", "recommendation.decide", ADMINS, "admin"),
    ("GET",    "/api/support/topics",                  "topic.list",           STAFF,  _READ),
    ("GET",    _TICKET,                                "ticket.read",          ALL,    _READ),
    ("GET",    "/api/support/ticket/number/{number}",  "ticket.read",          ALL,    _READ),
    ("PATCH",  _TICKET,                                "ticket.change",        STAFF,  _WRITE),
    ("POST",   _TICKET + "/assign",                    "ticket.assign",        STAFF,  _WRITE),
    ("POST",   _TICKET + "/status",                    "ticket.move",          STAFF,  _WRITE),
    ("POST",   _TICKET + "/close",                     "ticket.close",         STAFF,  _WRITE),
    ("POST",   _TICKET + "/reopen",                    "ticket.reopen",        STAFF,  _WRITE),
    ("POST",   _TICKET + "/merge",                     "ticket.merge",         STAFF,  _WRITE),
    ("POST",   _TICKET + "/link",                      "ticket.link",          STAFF,  _WRITE),
    ("POST",   _TICKET + "/spam",                      "ticket.spam",          STAFF,  _WRITE),
    ("GET",    _TICKET + "/timeline",                  "timeline.read",        STAFF,  _READ),
    ("GET",    _TICKET + "/runs",                      "run.read",             STAFF,  _READ),
    ("GET",    _TICKET + "/trace",                     "run.read",             STAFF,  _READ),
    ("GET",    "/api/support/agent-runs/{agent_run_id}", "run.read",           STAFF,  _READ),
    ("POST",   "/api/support/agent-runs/{agent_run_id}/replay", "run.replay",  STAFF,  _WRITE),
    ("GET",    _TICKET + "/dossier",                   "dossier.read",         STAFF,  _READ),
    ("GET",    _TICKET + "/assignments",               "assignment.read",      STAFF,  _READ),
    ("GET",    _TICKET + "/service-levels",            "service_level.read",   STAFF,  _READ),
    ("GET",    _TICKET + "/links",                     "ticket.read_links",    STAFF,  _READ),
    ("POST",   _TICKET + "/notes",                     "note.write",           STAFF,  _WRITE),
    ("POST",   _TICKET + "/draft",                     "draft.make",           STAFF,  _WRITE),
    ("POST",   _TICKET + "/presence",                  "presence.tell",        STAFF,  _WRITE),
    ("GET",    _TICKET + "/canned-replies/{name}",     "canned_reply.use",     STAFF,  _READ),
    ("GET",    "/api/support/canned-replies",          "canned_reply.list",    STAFF,  _READ),
    ("POST",   "/api/support/canned-replies",          "canned_reply.write",   ADMINS, "admin"),
    ("DELETE", "/api/support/canned-replies/{name}",   "canned_reply.remove",  ADMINS, "admin"),
    ("GET",    _TICKET + "/attachments",               "attachment.list",      ALL,    _READ),
    ("POST",   _TICKET + "/attachments",               "attachment.add",       ALL,    _WRITE),
    ("GET",    "/api/support/attachment/{attachment_id}", "attachment.read",   ALL,    _READ),
    ("GET",    "/api/support/connectors",              "connector.list",       ADMINS, "admin"),
    ("POST",   "/api/support/connectors",              "connector.add",        ADMINS, "admin"),
    ("GET",    "/api/support/connectors/{name}",       "connector.read",       ADMINS, "admin"),
    ("PATCH",  "/api/support/connectors/{name}",       "connector.change",     ADMINS, "admin"),
    ("DELETE", "/api/support/connectors/{name}",       "connector.remove",     ADMINS, "admin"),
    ("POST",   "/api/support/connectors/{name}/check", "connector.check",      ADMINS, "admin"),
    ("GET",    "/api/support/connectors/{name}/actions", "connector.read_actions", ADMINS, "admin"),
    ("GET",    "/api/intents",                         "intent.list",          STAFF,  _READ),
    ("POST",   "/api/intents",                         "intent.add",           ADMINS, "admin"),
    ("PATCH",  "/api/intents/{name}",                  "intent.change",        ADMINS, "admin"),
    ("GET",    "/api/support/fields",                  "field.list",           STAFF,  _READ),
    ("POST",   "/api/support/fields",                  "field.define",         ADMINS, "admin"),
    ("PATCH",  "/api/support/fields/{name}",           "field.change",         ADMINS, "admin"),
    ("DELETE", "/api/support/fields/{name}",           "field.remove",         ADMINS, "admin"),
    ("POST",   "/api/support/session/{ticket_id}",     "session.start",        ALL,    _WRITE),
    ("GET",    _SESSION,                               "session.read",         ALL,    _READ),
    ("GET",    _SESSION + "/events",                   "session.follow",       ALL,    _READ),
    ("POST",   _SESSION + "/resolve",                  "session.resolve",      ALL,    _WRITE),
    ("POST",   _SESSION + "/take-over",                "session.take_over",    STAFF,  _WRITE),
    ("POST",   _SESSION + "/hand-back",                "session.hand_back",    STAFF,  _WRITE),
    ("GET",    "/api/support/runbooks",                "runbook.list",         STAFF,  _SHELF),
    ("POST",   "/api/support/runbooks",                "runbook.write",        ADMINS, _RULE),
    ("GET",    _RUNBOOK,                               "runbook.read",         STAFF,  _SHELF),
    ("GET",    _RUNBOOK + "/versions",                 "runbook.read",         STAFF,  _SHELF),
    ("POST",   _RUNBOOK + "/publish",                  "runbook.publish",      ADMINS, _RULE),
    ("POST",   _RUNBOOK + "/retire",                   "runbook.retire",       ADMINS, _RULE),
    ("GET",    _RUNBOOK + "/autonomy",                 "autonomy.read",        STAFF,  _SHELF),
    ("PATCH",  _RUNBOOK + "/autonomy",                 "autonomy.change",      ADMINS, _RULE),
    ("POST",   _RUNBOOK + "/lend",                     "autonomy.lend",        OWNERS, _RULE),
    ("POST",   _RUNBOOK + "/end-loan",                 "autonomy.change",      ADMINS, _RULE),
    ("GET",    "/api/support/runs",                    "runbook_run.list",     STAFF,  _SHELF),
    ("POST",   "/api/support/runs",                    "runbook_run.start",    STAFF,  _RULE),
    ("GET",    "/api/support/runs/{run_id}",           "runbook_run.read",     STAFF,  _SHELF),
    ("POST",   "/api/support/runs/{run_id}/cancel",    "runbook_run.cancel",   STAFF,  _RULE),
    ("POST",   "/api/support/runs/{run_id}/replay",    "runbook_run.replay",   STAFF,  _RULE),
    ("POST",   "/api/support/runs/{run_id}/judge",     "runbook_run.judge",    STAFF,  _RULE),
    ("GET",    "/api/support/audit-sample",            "runbook_run.judge",    STAFF,  _SHELF),
    ("GET",    "/api/support/approvals",               "approval.list",        STAFF,  _SHELF),
    ("GET",    "/api/support/approvals/{approval_id}", "approval.read",        STAFF,  _SHELF),
    ("POST",   "/api/support/approvals/{approval_id}/decide", "approval.decide", STAFF, APPROVE),
    ("GET",    "/api/support/emergency-stop",          "acts.read_stop",       STAFF,  _SHELF),
    ("POST",   "/api/support/emergency-stop",          "acts.stop",            STAFF,  _RULE),
    ("POST",   "/api/support/emergency-stop/release",  "acts.release",         ADMINS, _RULE),
    ("POST",   "/api/credits/postings",                "credits.post",         STAFF,  _BOOK),
    ("POST",   "/api/credits/works",                   "credits.report",       STAFF,  _BOOK),
    ("GET",    "/api/credits/balance",                 "credits.read",         STAFF,  _COUNT),
    ("GET",    "/api/credits/charges",                 "credits.read",         STAFF,  _COUNT),
    ("GET",    "/api/credits/audit",                   "credits.read",         STAFF,  _COUNT),
    ("GET",    "/api/articles",                        "article.list",         ALL,    _KNOW),
    ("POST",   "/api/articles",                        "article.write",        STAFF,  _TEACH),
    ("POST",   "/api/articles/search",                 "article.search",       ALL,    _KNOW),
    ("GET",    "/api/articles/{article_id}",           "article.read",         ALL,    _KNOW),
    ("PATCH",  "/api/articles/{article_id}",           "article.write",        STAFF,  _TEACH),
    ("GET",    "/api/articles/{article_id}/versions",  "article.read_versions", STAFF, _KNOW),
    ("POST",   "/api/articles/{article_id}/publish",   "article.publish",      STAFF,  _TEACH),
    ("POST",   "/api/articles/{article_id}/retire",    "article.retire",       STAFF,  _TEACH),
    ("POST",   "/api/articles/{article_id}/restore",   "article.restore",      STAFF,  _TEACH),
    ("GET",    "/api/contacts",                        "contact.list",         STAFF,  _SEE),
    ("POST",   "/api/contacts/{contact_id}/block",     "contact.block",        STAFF,  _HIRE),
    ("POST",   "/api/contacts/{contact_id}/unblock",   "contact.unblock",      STAFF,  _HIRE),
    ("POST",   "/api/contacts/{contact_id}/export",    "contact.export",       ADMINS, _HIRE),
    ("POST",   "/api/contacts/{contact_id}/erase",     "contact.erase",        ADMINS, _HIRE),
    ("POST",   "/api/contacts/{contact_id}/plan",      "contact.plan",         STAFF,  _HIRE),
    ("GET",    "/api/members",                         "member.list",          STAFF,  _SEE),
    ("POST",   "/api/members",                         "member.add",           ADMINS, _HIRE),
    ("GET",    "/api/members/{user_id}",               "member.read",          STAFF,  _SEE),
    ("PATCH",  "/api/members/{user_id}",               "member.change",        ADMINS, _HIRE),
    ("GET",    "/api/invitations",                     "invitation.list",      ADMINS, _SEE),
    ("POST",   "/api/invitations",                     "invitation.make",      ADMINS, _HIRE),
    ("DELETE", "/api/invitations/{invitation_id}",     "invitation.withdraw",  ADMINS, _HIRE),
    ("POST",   "/api/invitations/accept",              "invitation.accept",    PUBLIC, None),
    ("GET",    "/api/keys",                            "key.list",             ADMINS, _SEE),
    ("POST",   "/api/keys",                            "key.make",             ADMINS, _HIRE),
    ("DELETE", "/api/keys/{key_id}",                   "key.revoke",           ADMINS, _HIRE),
    ("GET",    "/api/organization",                    "organization.read",    STAFF,  _SEE),
    ("PATCH",  "/api/organization",                    "organization.change",  ADMINS, "admin"),
    ("POST",   _TICKET + "/answer-judgement",          "answer.judge",         STAFF,  _WRITE),
    ("POST",   _TICKET + "/draft-article",             "article.draft",        STAFF,  _TEACH),
    ("GET",    "/api/learning/gaps",                   "gap.list",             STAFF,  _KNOW),
    ("GET",    "/api/learning/corrections",            "correction.list",      STAFF,  _READ),
    ("GET",    "/api/learning/models",                 "model.list",           STAFF,  _READ),
    ("GET",    "/api/learning/models/{model_version}", "model.read",           STAFF,  _READ),
    ("POST",   "/api/learning/train",                  "model.train",          ADMINS, "admin"),
    ("POST",   "/api/learning/roll-back",              "model.roll_back",      ADMINS, "admin"),
    ("GET",    "/api/wishes",                          "wish.list",            STAFF,  _READ),
    ("GET",    _WISH,                                  "wish.read",            STAFF,  _READ),
    ("PATCH",  _WISH,                                  "wish.change",          STAFF,  _WRITE),
    ("POST",   _WISH + "/merge",                       "wish.merge",           STAFF,  _WRITE),
    ("POST",   _WISH + "/split",                       "wish.split",           STAFF,  _WRITE),
    ("POST",   _WISH + "/ship",                        "wish.ship",            STAFF,  _WRITE),
    ("GET",    "/api/widget",                          "widget.read",          ADMINS, "admin"),
    ("PATCH",  "/api/widget",                          "widget.change",        ADMINS, "admin"),
    ("POST",   "/api/widget/secret",                   "widget.make_secret",   ADMINS, "admin"),
    ("POST",   "/api/widget/{org}/start",              "chat.start",           PUBLIC, None),
    ("POST",   "/api/widget/{org}/renew",              "chat.renew",           CONTACTS, None),
    ("GET",    "/api/widget/{org}/conversations",      "chat.list",            CONTACTS, None),
    ("POST",   "/api/widget/{org}/conversations",      "chat.open",            CONTACTS, None),
    ("GET",    _CHAT,                                  "chat.read",            CONTACTS, None),
    ("POST",   _CHAT + "/messages",                    "chat.write",           CONTACTS, None),
    ("POST",   _CHAT + "/writing",                     "chat.tell_writing",    CONTACTS, None),
    ("POST",   _CHAT + "/rating",                      "chat.rate",            CONTACTS, None),
    ("POST",   _CHAT + "/person",                      "chat.ask_for_person",  CONTACTS, None),
    ("POST",   _CHAT + "/files",                       "chat.add_file",        CONTACTS, None),
    ("GET",    _CHAT + "/files/{file_id}",             "chat.read_file",       CONTACTS, None),
    ("GET",    _CHAT + "/events",                      "chat.follow",          CONTACTS, None),
    ("GET",    "/api/routing",                         "routing.read",         STAFF,  _SEE),
    ("PATCH",  "/api/routing",                         "routing.change",       ADMINS, "admin"),
    ("GET",    "/api/support/incidents",               "incident.list",        STAFF,  _READ),
    ("POST",   "/api/support/incidents",               "incident.open",        STAFF,  _WRITE),
    ("GET",    _INCIDENT,                              "incident.read",        STAFF,  _READ),
    ("PATCH",  _INCIDENT,                              "incident.change",      STAFF,  _WRITE),
    ("GET",    _INCIDENT + "/tickets",                 "incident.read",        STAFF,  _READ),
    ("POST",   _INCIDENT + "/tickets",                 "incident.name",        STAFF,  _WRITE),
    ("POST",   _INCIDENT + "/confirm",                 "incident.confirm",     STAFF,  _WRITE),
    ("POST",   _INCIDENT + "/dismiss",                 "incident.dismiss",     STAFF,  _WRITE),
    ("POST",   _INCIDENT + "/fix",                     "incident.fix",         STAFF,  _RULE),
    ("POST",   _INCIDENT + "/mended",                  "incident.mend",        STAFF,  _WRITE),
    ("POST",   _INCIDENT + "/updates",                 "incident.tell",        STAFF,  _WRITE),
    ("POST",   "/api/alerts/{org}/{source_id}",        "alert.receive",        PUBLIC, None),  # by its source's secret
    ("GET",    "/api/alert-sources",                   "alert_source.list",    ADMINS, "admin"),
    ("POST",   "/api/alert-sources",                   "alert_source.add",     ADMINS, "admin"),
    ("POST",   "/api/alert-sources/{source_id}/rotate", "alert_source.rotate", ADMINS, "admin"),
    ("DELETE", "/api/alert-sources/{source_id}",       "alert_source.remove",  ADMINS, "admin"),
    ("GET",    _TICKET + "/incidents",                 "incident.of_ticket",   STAFF,  _READ),
    ("GET",    "/api/service-levels",                  "service_level.read",   STAFF,  _READ),
    ("PATCH",  "/api/service-levels",                  "service_level.change", ADMINS, "admin"),
    ("GET",    "/api/service-levels/pressing",         "service_level.read",   STAFF,  _READ),
    ("GET",    "/api/service-levels/kept",             "service_level.read",   STAFF,  _READ),
    ("GET",    "/api/whoami",                          "self.read",            ALL,    None),
    ("POST",   "/mcp",                                 "mcp.call",             ALL,    None),  # each tool: its route's rule
    ("GET",    "/mcp",                                 "mcp.no_stream",        PUBLIC, None),
    ("POST",   "/a2a",                                 "a2a.call",             ALL,    None),  # each method: its route's rule
    ("GET",    "/.well-known/agent-card.json",         "document.read",        PUBLIC, None),
    ("GET",    "/.well-known/oauth-protected-resource/mcp", "document.read",   PUBLIC, None),
    ("GET",    "/api/notifications",                   "notification.list",    STAFF,  _SEE),
    ("POST",   "/api/notifications/read",              "notification.read",    STAFF,  _HIRE),
    ("GET",    "/api/notifications/preferences",       "notification.list",    STAFF,  _SEE),
    ("PATCH",  "/api/notifications/preferences",       "notification.choose",  STAFF,  _HIRE),
    ("GET",    "/api/webhooks",                        "webhook.list",         ADMINS, "admin"),
    ("POST",   "/api/webhooks",                        "webhook.add",          ADMINS, "admin"),
    ("GET",    "/api/webhooks/{webhook_id}",           "webhook.list",         ADMINS, "admin"),
    ("PATCH",  "/api/webhooks/{webhook_id}",           "webhook.change",       ADMINS, "admin"),
    ("DELETE", "/api/webhooks/{webhook_id}",           "webhook.remove",       ADMINS, "admin"),
    ("POST",   "/api/webhooks/{webhook_id}/test",      "webhook.test",         ADMINS, "admin"),
    ("GET",    "/api/deliveries",                      "delivery.list",        ADMINS, "admin"),
    ("POST",   "/api/deliveries/replay",               "delivery.replay",      ADMINS, "admin"),
    ("POST",   "/api/deliveries/{delivery_id}/replay", "delivery.replay",      ADMINS, "admin"),
    ("GET",    "/api/mailbox",                         "mailbox.read",         ADMINS, "admin"),
    ("PATCH",  "/api/mailbox",                         "mailbox.change",       ADMINS, "admin"),
    ("DELETE", "/api/mailbox",                         "mailbox.remove",       ADMINS, "admin"),
    ("POST",   "/api/mail",                            "mail.receive",         STAFF,  _WRITE),
    ("POST",   "/api/mailbox/check",                   "mailbox.check",        ADMINS, "admin"),
    ("GET",    "/healthz",                             "process.health",       PUBLIC, None),
    ("GET",    "/readyz",                              "process.ready",        PUBLIC, None),
    ("GET",    "/metrics",                             "process.metrics",      PUBLIC, None),  # token, or loopback
    ("GET",    "/openapi.json",                        "document.read",        PUBLIC, None),
    ("GET",    "/docs",                                "document.read",        PUBLIC, None),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    method: str
    path: str
    permission: str
    roles: frozenset[str]
    scope: str | None

    @property
    def is_public(self) -> bool:
        return not self.roles

    @property
    def is_for_contacts(self) -> bool:
        return self.roles == CONTACTS


RULES: Final = {(row[0], row[1]): Rule(*row) for row in TABLE}


def rule_of(method: str, path: str) -> Rule:
    """The row of a route; raises RuntimeError for one that is not in the table, which stops the start."""
    rule = RULES.get((method, path))
    if rule is None:
        raise RuntimeError(f"{method} {path} is not in asoe.api.permissions.TABLE: say there who may call it")
    return rule


def check(routes: Iterable[tuple[str, str]]) -> None:
    """Raise RuntimeError unless `routes`, each (method, path), are exactly the table's."""
    served = set(routes)
    if served != set(RULES):
        raise RuntimeError(
            f"the permission table and the routes differ: not in the table {sorted(served - set(RULES))}, "
            f"without a route {sorted(set(RULES) - served)}"
        )


def authorize(principal: Principal, rule: Rule) -> None:
    """Raise `Denied` unless the principal's role, and its key's scopes, allow what the rule names."""
    if principal.role not in rule.roles:
        allowed = ", ".join(sorted(rule.roles))
        raise Denied(f"{rule.permission} is for {allowed}; you act as {principal.role}.", code="role_not_permitted")
    if rule.scope is not None and principal.scopes and not scope_allows(principal.scopes, rule.scope):
        raise Denied(
            f"{rule.permission} needs a key with scope {rule.scope}; this one has "
            f"{', '.join(sorted(principal.scopes))}.",
            code="scope_missing",
        )
