"""Escalation: whether a person must look and why, which team, and the dossier they are handed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from asoe.desk.alarm import alarms_in
from asoe.desk.in_short import in_short
from asoe.desk.suggestion import suggested_reply
from asoe.domain.escalation import Dossier, Link, Signs, decide, team_by_reasons
from asoe.domain.mail import why_unproven
from asoe.domain.policy import Policy
from asoe.domain.session import Message
from asoe.domain.ticket import Ticket
from asoe.domain.triage import INTENTS, Triage

SURE_INTENT: Final = 0.5
SURE_SECURITY: Final = 0.4
WORTH_A_WORD: Final = 0.05
"""What is less likely is no alternative to tell a person of."""
REPEAT_CONTACTS: Final = 3

NEEDS_ACTION: Final = frozenset(
    {
        "double_charge",
        "refund_request",
        "billing_out_of_sync",
        "credits_missing",
        "delete_account",
        "data_missing",
        "outage",
        "wrong_result",
        "crash",
        "regression",
        "data_corruption",
        "display_glitch",
        "new_feature",
    }
)
"""Intents that an article alone seldom settles; without a runbook a person acts."""

SECURITY: Final = frozenset({"account_takeover", "data_corruption"})

MENDED_ALL_THE_SAME: Final = frozenset({"critical_severity", "incident", "anger", "service_level"})
"""Reasons that call a person and keep no runbook from mending meanwhile: it is what the client needs most."""

WORTH_KNOWING: Final = frozenset({"anger", "incident", "service_level", "repeat_contact"})
"""Reasons that may hold without weighing enough: whoever gets the ticket for another one is told of them all the same."""

SEE_TO_THE_REST: Final = "What was mended is proven. See to what was not done, and tell the client of both."

NEXT_STEPS: Final = {
    "critical_severity": "Confirm the impact, tell the client who is on it and when they hear more, then mend.",
    "client_asked": "Answer in person; the client does not want the engine.",
    "uncertified_answer": "Read the suggested answer; send it if it is right, and say on the ticket whether it was.",
    "needs_action": "Check the facts in the billing or product system, act, and tell the client what was done.",
    "no_grounded_answer": "Answer from your own knowledge; if it will be asked again, write an article.",
    "answer_did_not_help": "Read what was tried, ask for what is missing, and try another way.",
    "low_confidence": "Read the message, set the right category (the engine learns from it), and answer.",
    "unsupported_language": "Answer in the client's language, or ask for another one.",
    "security": "Check the client's identity, secure the account or data, then answer.",
    "repeat_contact": "Look at the earlier tickets first: the same client came back.",
    "stage_failed": "Look at the timeline for the failed stage, then answer by hand.",
    "over_cap": "Decide whether the limit may be passed for this client, then act by hand.",
    "wrong_amount": "Decide on the amount and act by hand; have the runbook's amount set right.",
    "needs_consent": "Ask the client for the consent that is missing, then act or start the runbook again.",
    "no_answer": "Ask the client in your own words what the run needs to know, then start the runbook again.",
    "approval_refused": "A colleague said no to the act: read why, and tell the client what happens instead.",
    "approval_expired": "Nobody decided in time: decide on the act, or tell the client what happens instead.",
    "goal_not_met": "Read what was checked and done; look for a cause the runbook does not know.",
    "verification_failed": "Look in the outside system why the act did not show, before doing it again.",
    "act_failed": "Look why the outside system refused the act.",
    "effect_unknown": "Look in the outside system whether the act took effect; do not repeat it before.",
    "check_failed": "Read the named check by hand in the outside system.",
    "not_found": "Find out with the client which account or thing is meant.",
    "not_theirs": "Check who is asking before anything about somebody else's account is said or done.",
    "fraud": "Follow your fraud procedure; change nothing for the client before.",
    "cannot_fix": "Read what the runbook found: mend it by hand, or tell the client what only they can do.",
    "already_met": "The checks find nothing wrong: ask the client what exactly they see.",
    "already_done": "It was done before: tell the client when, from the earlier run.",
    "emergency_stop": "All acts are stopped: mend by hand if it cannot wait.",
    "connector_down": "The outside system does not answer: see to it, then start the runbook again.",
    "safety": "Call or write at once: make sure that nobody is in danger, and involve who can help on the spot.",
    "threat": "Stay calm and factual, tell your lead, and keep the messages.",
    "legal": "Have it checked by whoever handles legal matters before anything is promised.",
    "anger": "Say first that you understand, then what happens next and when.",
    "incident": "Look whether others report the same, and tell the client what is known.",
    "service_level": "Answer this first: it is late, or soon will be.",
    "engine_complaint": "Correct category, severity, intent or team where they are wrong: the engine learns from that. Then answer.",
    "policy": "Your organization gives these to a person: handle by its own rules.",
}

SAYS_LITTLE: Final = frozenset({"needs_action", "low_confidence", "no_grounded_answer"})
"""Reasons that say only that nothing fits; whatever else holds says more of what is to be done."""

ASKING_DECIDES: Final = SAYS_LITTLE | {"already_met", "not_found"}
"""Reasons beside which it counts what the client asks for: nothing is broken that a runbook knows, or nobody could look."""

ASKED_FOR: Final = {
    "refund_request": "Decide on the refund by your rules; carry it out in the payment system, and tell the client how much and when.",
    "double_charge": "Compare the charges with the invoices in the payment system; give back what is double, and tell the client when.",
    "cancel_subscription": "See when the plan ends and whether something was charged after that; end it, and confirm the date.",
    "delete_account": "Make sure who asks and what must be kept by law; delete, and confirm what was deleted and when.",
    "invoice_question": "Look at the invoice in question; mend or explain it, and send it again where it changed.",
    "display_glitch": "See it for yourself or ask for a picture; write it down for the product team, and say whether it will be mended.",
    "wrong_result": "Reproduce the result with the client's own data; write it down for the product team where it is wrong.",
    "crash": "Look for the error in the logs at the client's time; write it down for the product team, and say what helps meanwhile.",
    "data_missing": "Look whether the data is really gone and since when; restore it, or say where it went.",
}
"""By intent, what is to be done where the client asks for an act rather than for something to be mended."""


def reasons_to_escalate(
    ticket: Ticket,
    triage: Triage | None,
    policy: Policy,
    *,
    earlier: Sequence[Ticket] = (),
    said: Sequence[str] = (),
    meant: Iterable[str] = (),
    is_late: bool = False,
    has_met_person: bool = False,
) -> tuple[str, ...]:
    """The named reasons that hold before any answer is looked for, if they weigh enough; empty: the engine may try.

    said: the client's words that nobody has read yet. meant: reasons read in them by meaning. is_late: a service level of the ticket is missed or at risk.
    has_met_person: a person has answered since, so that having asked for one is no reason any more; asking again is.
    """
    found: set[str] = set()
    intent = _intent(ticket, triage)
    if ticket.severity == "critical":
        found.add("critical_severity")
    is_person = triage is not None and triage.intent.value == "wants_a_person"
    if (
        triage
        and is_person
        and not has_met_person
        and triage.intent.confidence >= SURE_INTENT
        and triage.need.value != "information"
    ):
        found.add("client_asked")  # who asks when people answer wants to know just that
    if triage and triage.language not in policy.languages and triage.language != "und":
        found.add("unsupported_language")
    if intent in SECURITY:
        found.add("security")
    if ticket.category in policy.persons_only or (ticket.intent or "") in policy.persons_only:
        found.add("policy")
    unsettled = [other for other in earlier if other.status not in {"resolved", "closed"}]
    if sum(other.category == ticket.category for other in unsettled) >= policy.escalation.repeat_after:
        found.add("repeat_contact")
    if is_late:
        found.add("service_level")
    if "incident" in ticket.tags:
        found.add("incident")
    for words in said:
        found |= alarms_in(words)
    found.update(meant)
    return decide(_signs(ticket, found, said, intent=intent), policy.escalation)


def _intent(ticket: Ticket, triage: Triage | None) -> str | None:
    """What the ticket is surely about: the engine's own guess counts once it is surer than not, a person's word always.

    A guess at a break-in counts earlier: to be wrong there costs a look, to be late an account.
    """
    if triage is None or ticket.intent != triage.intent.value:
        return ticket.intent
    least = SURE_SECURITY if triage.intent.value in SECURITY else SURE_INTENT
    return triage.intent.value if triage.intent.confidence >= least else None


def team_of(
    ticket: Ticket, policy: Policy, *, reasons: Sequence[str], triage: Triage | None, said: Sequence[str] = ()
) -> str:
    """Who gets it: whom a rule or the organization's table of reasons names, else by severity, intent and category.

    A language that triage does not know goes to the default team: no guess. Where the ticket says what triage said,
    several intents that lead to one team count together; what a person has said otherwise stands alone.
    """
    named = team_by_reasons(reasons, _signs(ticket, set(reasons), said), policy.escalation)
    if named is not None:
        return named
    severity = "critical" if "critical_severity" in reasons else ticket.severity
    if "unsupported_language" in reasons and severity != "critical" and "security" not in reasons:
        return policy.default_team
    classes = (ticket.category, ticket.intent)
    if (
        triage is None
        or severity == "critical"
        or "security" in reasons
        or classes != (triage.category.value, triage.intent.value)
    ):
        return policy.team_for(category=ticket.category, intent=ticket.intent, severity=severity)
    shares: defaultdict[str, float] = defaultdict(float)
    for intent, share in ((triage.intent.value, triage.intent.confidence), *triage.intent.alternatives):
        if intent == "wants_a_person":
            continue  # says nothing of the matter
        category = INTENTS.get(intent, ticket.category)
        shares[policy.team_for(category=category, intent=intent, severity=severity)] += share
    rest = max(0.0, 1 - sum(shares.values()))
    for category, share in ((triage.category.value, triage.category.confidence), *triage.category.alternatives):
        shares[policy.team_for(category=category, intent=None, severity=severity)] += rest * share
    return max(shares, key=shares.__getitem__)


def _signs(ticket: Ticket, reasons: Collection[str], said: Sequence[str], *, intent: str | None = None) -> Signs:
    classes = {
        "category": {ticket.category},
        "severity": {ticket.severity},
        "intent": {intent or ticket.intent or ""},
        "language": {ticket.language},
        "channel": {ticket.channel},
        "tag": set(ticket.tags),
    }
    text = "\n".join((ticket.text, *said))
    return Signs(frozenset(reasons), {name: frozenset(values) for name, values in classes.items()}, text)


def build_dossier(
    ticket: Ticket,
    triage: Triage | None,
    *,
    reasons: Sequence[str],
    team: str,
    messages: Sequence[Message],
    earlier: Sequence[Ticket],
    tried: Sequence[str],
    not_done: Sequence[str],
    links: Sequence[Link] = (),
    language: str | None = None,
    meant: Mapping[str, float] | None = None,
) -> Dossier:
    """Everything a person needs without asking the client again; complete without a language model.

    links: what to open beside the earlier tickets. language: that of the suggested reply, by default the ticket's. meant: reasons
    that were read by meaning alone, with their probabilities.
    """
    likely = []
    if triage is not None:
        shares = ((triage.intent.value, triage.intent.confidence), *triage.intent.alternatives[:2])
        said = [
            f"{intent.replace('_', ' ')} ({share:.0%})"
            for rank, (intent, share) in enumerate(sorted(shares, key=lambda each: -each[1]))
            if rank == 0 or share >= WORTH_A_WORD
        ]
        likely.append("it is about " + ", or ".join(said))
    likely += [
        f"{reason.replace('_', ' ')} was read by meaning ({share:.0%}), no phrase says it"
        for reason, share in (meant or {}).items()
        if reason in reasons
    ]
    return Dossier(
        in_short=in_short(ticket, triage, messages),
        wants=_wants(ticket, messages),
        reasons=tuple(reasons),
        team=team,
        severity=ticket.severity,
        category=ticket.category,
        tried=tuple(tried) or ("Nothing was tried before handing over.",),
        not_done=(*(not_done or ("No act in any outside system was carried out.",)), *_unproven(ticket)),
        next_step=_next_step(ticket, reasons),
        suggested_reply=suggested_reply(ticket, reasons, language or ticket.language),
        history=tuple(_in_a_line(other) for other in earlier),
        likely=(*likely, *_had_before(ticket, earlier)),
        links=(*(Link("ticket", str(other.id), _called(other)) for other in earlier), *links),
        extra={"further_requests": list(triage.requests[1:])} if triage and len(triage.requests) > 1 else {},
    )


def _next_step(ticket: Ticket, reasons: Sequence[str]) -> str:
    """By what is most telling: that something must be done says less than what was found, and what is asked for says more."""
    telling = [each for each in reasons if each not in SAYS_LITTLE and each not in WORTH_KNOWING] or list(reasons)
    steps = [NEXT_STEPS.get(each, NEXT_STEPS["goal_not_met"]) for each in telling[:2]]
    asked = ASKED_FOR.get(ticket.intent or "")
    calling = set(reasons) - WORTH_KNOWING
    if asked and calling and calling <= ASKING_DECIDES:
        steps = [*(steps if set(reasons) & {"not_found"} else ()), asked]
    return " ".join(dict.fromkeys(steps))


def _wants(ticket: Ticket, messages: Sequence[Message]) -> str:
    """The client's own words, newest last; nothing is left out that a person might need."""
    said = [message.content for message in messages if message.role == "user"] or [ticket.text]
    words = "\n\n".join(dict.fromkeys(said))
    headed = f"{ticket.subject}\n\n{words}" if ticket.subject and ticket.subject not in words else words
    return headed.strip() or "The client wrote nothing."


def _unproven(ticket: Ticket) -> tuple[str, ...]:
    found = why_unproven(ticket.metadata)
    return (*found, "So no runbook was run for it: make sure who writes before anything is done.") if found else ()


def _in_a_line(other: Ticket) -> str:
    """An earlier ticket of the client, with how it ended."""
    ended = "/".join(str(other.resolution[name]) for name in ("type", "verdict") if other.resolution.get(name))
    how = f", {ended}" if ended and other.status in {"resolved", "closed"} else ""
    subject = other.subject or "(no subject)"
    return f"#{other.number} {other.created_at:%Y-%m-%d} {other.category}, {other.status}{how}: {subject}"


def _called(other: Ticket) -> str:
    return f"#{other.number} {other.subject}".strip()


def _had_before(ticket: Ticket, earlier: Sequence[Ticket]) -> list[str]:
    """What settled the same matter of the same client before: often the cause is the same again."""
    same = [other for other in earlier if ticket.intent and other.intent == ticket.intent]
    settled = [other for other in same if other.status in {"resolved", "closed"} and other.resolution.get("summary")]
    if settled:
        newest = max(settled, key=lambda other: other.created_at)
        return [f"the client had the same before (#{newest.number}), which ended so: {newest.resolution['summary']}"]
    return [f"the client writes of the same in #{other.number}, which is open" for other in same[:1]]
