"""Facts: what happened, in past tense. They carry ids and classes, never client text, and are the only fan-out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,40}", re.ASCII)

FACTS: Final[dict[str, str]] = {
    "ticket.opened": "a ticket was accepted",
    "ticket.triaged": "category, severity and intent were decided",
    "ticket.answered": "the engine answered from the knowledge base",
    "ticket.asked": "the engine asked the client for what is missing",
    "ticket.escalated": "a person was given the ticket, with its dossier",
    "ticket.assigned": "a person or team was made responsible",
    "ticket.raised": "nobody took the ticket in time; it went to the next level, which data names",
    "ticket.moved": "the status changed",
    "ticket.resolved": "the ticket was resolved; data holds the verdict",
    "ticket.closed": "the ticket was closed",
    "ticket.reopened": "the ticket was opened again",
    "ticket.merged": "the ticket was merged into another",
    "ticket.linked": "the ticket was linked to another",
    "ticket.changed": "a person changed fields; data names them with before and after where they are classes",
    "ticket.corrected": "a person corrected the triage",
    "ticket.duplicate": "the same request came again and was attached to the first",
    "ticket.spam": "the ticket was marked as spam, or as not spam",
    "ticket.exported": "a client's data was exported",
    "ticket.imported": "a ticket came from another system, with its history",
    "service_level.warned": "a service level will be missed soon; data names the target and when it is due",
    "service_level.breached": "a service level was missed; data names the target and when it was due",
    "session.started": "a session was started",
    "session.taken_over": "a person took over; the engine is quiet",
    "session.handed_back": "a person handed the session back to the engine",
    "session.resolved": "a session was marked as resolved",
    "message.added": "a message was added",
    "member.mentioned": "somebody was named in an internal note; data says who",
    "draft.made": "the engine drafted a reply for a person; nothing was sent",
    "view.saved": "a view of the queue was saved",
    "view.removed": "a saved view of the queue was removed",
    "intent.added": "an own intent of the organization was added",
    "intent.changed": "an own intent was changed; data names it, with before and after or a digest of these",
    "intent.retired": "an own intent was retired: triage finds it no more",
    "intent.restored": "a retired own intent was put to use again",
    "canned_reply.changed": "a canned reply was written or changed; data holds before and after, or a digest of these",
    "canned_reply.removed": "a canned reply was removed",
    "note.added": "an internal note was added",
    "attachment.added": "a file was attached",
    "article.written": "a version of an article was written; data says which",
    "article.published": "an article version was published",
    "article.retired": "an article was retired",
    "member.added": "a member was added",
    "member.changed": "a member's role or state changed",
    "member.invited": "a person was invited",
    "member.uninvited": "an invitation was withdrawn",
    "invitation.mailed": "an invitation was handed to the mail",
    "password.changed": "a person changed the own password, and the other sign-ins ended",
    "preferences.changed": "it was chosen what a person is told of, where and when; data has whose it is, and each value before and after",
    "key.created": "an API key was created",
    "key.revoked": "an API key was revoked",
    "sender.blocked": "a sender was blocked or let in again",
    "organization.exported": "everything of the organization was written into files",
    "settings.changed": "the organization's settings changed; data names them with before and after, or a digest of these",
    "contact.changed": "a client's plan was changed; data holds before and after",
    "contact.erased": "a client's text and names were erased",
    "retention.applied": "rows past their retention were removed",
    "runbook.written": "a version of a runbook was written",
    "runbook.published": "a runbook's version was put into use",
    "backtest.begun": "a runbook began to be rehearsed over past tickets",
    "backtest.cancelled": "a backtest was cancelled",
    "backtest.ended": "a backtest ended; data says how",
    "runbook.retired": "a runbook was taken out of use",
    "autonomy.changed": "a person changed what a runbook may do by itself",
    "autonomy.lent": "an owner lent a runbook trust without a certificate, until a date",
    "autonomy.braked": "a runbook's runs spoke against it; it asks for approval again",
    "run.started": "a runbook's run was started",
    "run.acted": "a run did something in another system, or tried to; data holds what became of it",
    "run.waiting": "a run waits for its client or for an approval",
    "run.cancelled": "a person asked a run to stop before its next act",
    "run.ended": "a run ended; data holds its verdict and reason",
    "run.judged": "a person said whether a run did right, or its client came back",
    "acts.stopped": "all acts of the organization were stopped",
    "acts.released": "acts are allowed again",
    "approval.requested": "a person is asked to agree to one act",
    "approval.decided": "a person voted on an act",
    "approval.expired": "nobody decided on an act in time",
    "task_push.added": "an outside agent wants to be told how its task goes",
    "task_push.removed": "an outside agent is told no more how its task goes",
    "agent.called": "an outside agent used a tool; data holds the tool and how it ended",
    "connector.added": "a connector to an outside system was added",
    "connector.changed": "a connector was changed; data names the settings",
    "connector.disabled": "a connector was disabled: no call is made through it",
    "connector.enabled": "a connector was enabled again",
    "connector.removed": "a connector was removed with its secrets",
    "connector.drifted": "an outside tool or agent is not as it was reviewed, and is not used until a person reviews it",
    "webhook.added": "a webhook was added",
    "webhook.changed": "a webhook was changed; data names what",
    "webhook.disabled": "a webhook was disabled: nothing is sent to it",
    "webhook.enabled": "a webhook was enabled again",
    "webhook.removed": "a webhook was removed with its secrets",
    "webhook.tested": "a person had a test sent to a webhook",
    "mailbox.changed": "the organization's mailbox was set or changed",
    "mailbox.removed": "the organization's mailbox was removed",
    "mail.received": "a mail became a ticket, or a message on one; data says whether its sender is proven",
    "mail.ignored": "a mail was kept out of the conversation; data holds the reason",
    "mail.bounced": "a mail of ours came back: its recipient could not be reached",
    "delivery.failed": "a notification could not be delivered and is not tried any more",
    "delivery.replayed": "notifications are sent again, under the ids they had",
    "credits.posted": "credits were granted, held, charged or refunded",
    "credits.reported": "it was said how work that credits were charged for ended",
    "widget.changed": "the client's chat widget was set up differently; data names the settings",
    "widget.secret_made": "a secret that signs the widget's clients was made; the one before ends",
    "answer.sent_by_person": "a person sent a suggested answer as it was, or nearly",
    "answer.rewritten": "a person rewrote a suggested answer, or sent another one in its place",
    "answer.audited": "a person judged an answer of the random sample blind",
    "certificate.renewed": "certificates of answers were made anew; data says on how many cases and for what",
    "certificate.voided": "traffic is not what certificates of answers rest on: they ended; data says what has changed",
    "ticket.answer_judged": "a person said whether the engine's answer was useful",
    "model.training": "a person had a model trained from the organization's corrections",
    "model.cancelled": "a person ended the training of a model; data holds its version",
    "model.promoted": "a model trained from corrections judges from now on; data holds its version",
    "model.kept_out": "a model trained from corrections was not better; data holds the reason",
    "model.rolled_back": "a person let the model before judge again",
    "wish.recorded": "a client's wish was written down, or added to an equal one",
    "wish.changed": "a person renamed a wish, or said what becomes of it; data holds before and after",
    "wish.merged": "a person merged a wish into another",
    "wish.split": "a person made a wish stand by itself again, or made one out of another",
    "wish.shipped": "a person said that what was wished for exists now",
    "wish.told": "a client was told that its wish has shipped",
    "topic.searched": "topics were found anew in the tickets; data counts them",
    "topic.split": "a topic came out of another, which data names",
    "topic.merged": "a topic went into another, which data names",
    "topic.ended": "nothing is about a topic any more",
    "incident.opened": "many tickets have one cause, or may have; data names the source",
    "incident.confirmed": "a suspected incident is one: clients are told from now on",
    "incident.dismissed": "a suspected or open incident was none; its tickets go their own way",
    "incident.spike": "more clients than usual write about an incident that goes on",
    "incident.fed": "an alert began that has the incident's cause",
    "incident.alert_over": "an alert of the incident is over",
    "alert_source.added": "a monitoring system may send alerts",
    "alert_source.changed": "a source of alerts was changed; data names what",
    "alert_source.removed": "a monitoring system may send alerts no more",
    "incident.changed": "a person changed an incident; data names what",
    "incident.linked": "a ticket was found to be part of an incident",
    "incident.updated": "a person had something said to every client of an incident",
    "incident.told": "a client was told what is known of an incident; data names which notice",
    "incident.fixing": "a runbook was started on the cause of an incident",
    "incident.fix_failed": "the runbook on the cause of an incident did not mend it; data holds why",
    "incident.mended": "the cause of an incident is mended; its tickets are checked one by one",
    "incident.settled": "a ticket's part in an incident ended; data holds how",
    "incident.closed": "every ticket of an incident is settled; data counts them",
    "recommendation.accepted": "a recommendation was accepted; data holds its kind and how many cases it rested on",
    "recommendation.dismissed": "a recommendation was dismissed; data holds its kind and how many cases it rested on",
    "journey.failed": "a stage failed and will be tried again, or was given to a person",
}


def as_class(value: Any) -> Any:
    """A setting as facts may carry it: a number or a short word as it is, of all else a digest that says whether it changed."""
    if value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and _WORD.fullmatch(value)):
        return value
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def before_and_after(before: Mapping[str, Any], after: Mapping[str, Any], names: Iterable[str]) -> dict[str, list[Any]]:
    """What a fact says of named settings that a person changed: each with what was there and what is."""
    return {name: [as_class(before.get(name)), as_class(after.get(name))] for name in names}


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of the event log. `cursor` orders facts so that a late commit is never skipped (`xid`, then `id`)."""

    id: int
    kind: str
    at: datetime
    ticket_id: UUID | None = None
    session_id: UUID | None = None
    actor: UUID | None = None
    data: dict[str, Any] = field(default_factory=dict)
    xid: int = 0
