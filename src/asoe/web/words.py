"""Words for values: labels of classes, times from now, shares with their interval, sizes, and facts as sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from asoe.domain.facts import FACTS

_LABELS: Final = {
    "api": "API",
    "ai": "AI",
    "sso_setup": "SSO setup",
    "api_usage": "API usage",
    "und": "unknown",
    "in_progress": "In progress",
    "person": "a person",
    "en": "English",
    "de": "German",
    "es": "Spanish",
    "fr": "French",
}
LANGUAGES: Final = ("en", "de", "es", "fr")


def label(value: Any) -> str:
    """A class as people write it: `bug_report` → "Bug report"."""
    if value is None or value == "":
        return "–"
    text = str(value)
    if text in _LABELS:
        return _LABELS[text]
    spaced = text.replace("_", " ")
    return spaced[:1].upper() + spaced[1:]


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, short: "now", "4 min", "3 h", "2 d", then the date."""
    if at is None:
        return "–"
    seconds = (now - at).total_seconds()
    if seconds < 60:
        return "now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 86_400:
        return f"{int(seconds // 3600)} h"
    if seconds < 30 * 86_400:
        return f"{int(seconds // 86_400)} d"
    return when(at, date_only=True)


def until(at: datetime | None, now: datetime) -> str:
    """How long from now, short: "due in 4 min", "3 h late"."""
    if at is None:
        return "stands still"
    return f"due in {span(now, at)}" if at > now else f"{span(at, now)} late"


def span(first: datetime, last: datetime) -> str:
    """How long from the one to the other, short: "4 min", "2.5 h", "3 d"."""
    seconds = (last - first).total_seconds()
    if seconds < 3600:
        return f"{max(1, round(seconds / 60))} min"
    if seconds < 86_400:
        return f"{seconds / 3600:.1f}".removesuffix(".0") + " h"
    return f"{seconds / 86_400:.1f}".removesuffix(".0") + " d"


def when(at: datetime | None, *, date_only: bool = False) -> str:
    if at is None:
        return "–"
    return f"{at.astimezone(UTC):%Y-%m-%d}" if date_only else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def percent(share: float | None, digits: int = 0) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def size(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.0f} KB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"


def initials(name: str) -> str:
    parts = [part for part in name.split() if part]
    return ("".join(part[0] for part in parts[:2]) or "?").upper()


_BECAUSE: Final = {
    "on_call": "on call now",
    "language": "speaks the client's language",
    "skills": "knows most of this",
    "least_loaded": "has least to do",
    "round_robin": "waited longest for one",
    "only_one": "the only one there",
    "last_level": "no level before took it",
    "closed": "everybody works later",
}


def because(reasons: Sequence[str]) -> str:
    """What decided an assignment, as a sentence."""
    said = ", ".join(_BECAUSE.get(each, each) for each in reasons)
    return said[:1].upper() + said[1:] + "."


_DEEDS: Final = {
    "ticket.opened": "Took in a ticket that came by mail or chat",
    "ticket.triaged": "Sorted a ticket after it had come in",
    "ticket.answered": "Answered a client from the knowledge base",
    "ticket.asked": "Asked a client for what was missing",
    "ticket.escalated": "Gave a ticket to a person, with its dossier",
    "ticket.assigned": "Chose the person or team for a ticket",
    "ticket.raised": "Passed a ticket on that nobody took in time",
    "ticket.resolved": "Resolved a ticket",
    "ticket.closed": "Closed a ticket",
    "ticket.reopened": "Opened a ticket again for its client",
    "ticket.duplicate": "Recognized a request that came twice",
    "service_level.warned": "Warned that a promised time is near",
    "service_level.breached": "Noted that a promised time was missed",
    "run.acted": "Did something in another system, or tried to",
    "run.waiting": "Let a runbook wait for a client or an approval",
    "run.ended": "Looked into something with a runbook",
    "approval.requested": "Asked a person to agree to an act",
    "approval.expired": "Gave up an act that nobody decided on",
    "certificate.voided": "Stopped trusting its answers, as other things are asked now",
    "autonomy.braked": "Took freedom away from a runbook that went wrong",
    "wish.recorded": "Wrote down a client's wish",
    "wish.told": "Told a client that its wish exists now",
    "incident.opened": "Opened an incident, or suspected one",
    "incident.linked": "Found a ticket to be part of an incident",
    "incident.told": "Told a client what is known of an incident",
    "incident.settled": "Ended a ticket's part in an incident",
    "mail.received": "Read a mail",
    "mail.ignored": "Kept a mail out of the conversation",
}
_TOLD_ELSEWHERE: Final = frozenset(
    {"ticket.moved", "message.added", "session.started", "session.resolved", "run.started"}
)


_REFUSALS: Final = {404: "Not found", 403: "Not allowed", 409: "Somebody was faster", 429: "Slow down, please"}


def refusal(status: int) -> str:
    """The heading of a page that says no."""
    return _REFUSALS.get(status, "Something broke" if status >= 500 else "That did not work")


def person_of(user_id: str, names: Mapping[UUID, str]) -> str:
    return names.get(UUID(user_id), "Somebody who left") if user_id else "Somebody"


def fact(kind: str, data: Mapping[str, Any], runbooks: Mapping[str, str] | None = None) -> str:
    """A fact as a short sentence; its data are classes and ids, and `runbooks` names those among them."""
    if book := _runbook(data, runbooks or {}):
        return f"{book}: {_of_runbook(kind, data)}"
    match kind:
        case "ticket.moved":
            return f"Status: {label(data.get('before'))} → {label(data.get('after'))}"
        case "ticket.triaged":
            return f"Sorted as {label(data.get('category'))}, {label(data.get('severity')).lower()}"
        case "ticket.changed":
            return "Changed " + ", ".join(_changed(name, value) for name, value in dict(data.get("fields", {})).items())
        case "ticket.resolved":
            return f"Resolved: {label(data.get('verdict')).lower()}"
        case "ticket.escalated":
            reasons = data.get("reasons") or ()
            return "Handed over: " + ", ".join(label(each).lower() for each in reasons) if reasons else "Handed over"
        case "ticket.raised":
            return f"Not taken in time: to {'the last level' if data.get('is_last') else 'level ' + str(data.get('level'))}"
        case "ticket.assigned":
            if data.get("because") and not data.get("assignee"):
                return "Waits until somebody works"
            if data.get("assignee"):
                return "Assigned"
            return f"Given to team {data['team']}" if data.get("team") else "Assignment taken away"
        case "ticket.spam":
            return "Marked as spam" if data.get("is_spam", True) else "Marked as not spam"
        case "message.added":
            return f"Message by the {'client' if data.get('role') == 'user' else label(data.get('role')).lower()}"
        case "member.added" | "member.changed" | "member.invited":
            return f"{sentence(kind)} ({label(data.get('role') or data.get('state')).lower()})"
        case "service_level.warned" | "service_level.breached":
            what = "will be missed soon" if kind.endswith("warned") else "missed"
            return f"{label(data.get('target'))}: {what}"
        case "settings.changed":
            return "Settings changed: " + ", ".join(map(str, data.get("names", ())))
    return sentence(kind)


def sentence(kind: str) -> str:
    """What a kind of fact says, without "the" and the part after the semicolon."""
    said = FACTS.get(kind, kind).partition(";")[0]
    return said[:1].upper() + said[1:]


def deed(kind: str) -> str:
    """What the engine did, as the first page counts it; "" for what another line tells already."""
    return "" if kind in _TOLD_ELSEWHERE else _DEEDS.get(kind, sentence(kind))


def _runbook(data: Mapping[str, Any], runbooks: Mapping[str, str]) -> str:
    ids = (data.get(name) for name in ("runbook_id", "run_id", "backtest_id"))
    return next((runbooks[each] for each in ids if isinstance(each, str) and each in runbooks), "")


def _of_runbook(kind: str, data: Mapping[str, Any]) -> str:
    """What happened to a runbook or its run, behind its name."""
    match kind:
        case "run.started":
            return "started" if data.get("mode") in {None, "live"} else f"started as {label(data.get('mode')).lower()}"
        case "run.ended":
            reason = f", {label(data['reason']).lower()}" if data.get("reason") else ""
            return f"ended, {label(data.get('verdict')).lower()}{reason}"
        case "run.acted":
            what = f"{data.get('action')} in {data.get('connector')}"
            return f"{'took back ' if data.get('is_undo') else ''}{what}, {label(data.get('status')).lower()}"
        case "run.waiting":
            return f"waits for {label(data.get('waiting_for')).lower()}"
        case "autonomy.changed":
            return f"may now go as far as {label(data.get('after')).lower()}"
    said = sentence(kind)
    return said[:1].lower() + said[1:]


def _changed(name: str, value: Any) -> str:
    if isinstance(value, Mapping) and not isinstance(value.get("to"), list):
        before, after = value.get("from"), value.get("to")
        if name == "assignee":
            return "assignee"
        return f"{label(name).lower()} ({label(before).lower()} → {label(after).lower()})"
    return label(name).lower()
