"""Intents that lead to one team count together; what a person has said, and what is critical, stands alone."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from asoe.desk.escalation import team_of
from asoe.domain.policy import Policy
from asoe.domain.ticket import Ticket
from asoe.domain.triage import Estimate, Evidence, Triage

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TICKET = Ticket(
    UUID(int=1),
    UUID(int=2),
    1,
    "account",
    "medium",
    "open",
    created_at=NOW,
    updated_at=NOW,
    version=1,
    intent="account_takeover",
)
TORN = Triage(
    category=Estimate("account", 0.4, (("general", 0.38), ("technical", 0.22))),
    severity=Estimate("medium", 0.8),
    intent=Estimate("account_takeover", 0.2, (("privacy_or_security", 0.15), ("wants_a_person", 0.14))),
    language="en",
    language_confidence=1.0,
    scope=0.5,
    evidence=Evidence(),
    requests=("account_takeover",),
    model_version="test",
)


def test_two_intents_of_one_team_outweigh_one_of_another() -> None:
    assert team_of(TICKET, Policy(), reasons=("low_confidence",), triage=TORN) == "frontline"


def test_a_sure_intent_decides() -> None:
    sure = replace(TORN, intent=Estimate("account_takeover", 0.8, (("privacy_or_security", 0.1),)))
    assert team_of(TICKET, Policy(), reasons=("security",), triage=sure) == "on_call"


def test_critical_is_on_call_whatever_it_is_about() -> None:
    assert team_of(TICKET, Policy(), reasons=("critical_severity",), triage=TORN) == "on_call"
    assert team_of(replace(TICKET, severity="critical"), Policy(), reasons=(), triage=TORN) == "on_call"


def test_what_a_person_corrected_stands_alone() -> None:
    corrected = replace(TICKET, category="billing", intent="refund_request")
    assert team_of(corrected, Policy(), reasons=("needs_action",), triage=TORN) == "billing"


def test_without_a_triage_the_ticket_alone_decides() -> None:
    assert team_of(replace(TICKET, intent=None), Policy(), reasons=("low_confidence",), triage=None) == "accounts"


def test_a_language_that_triage_does_not_know_is_not_guessed() -> None:
    surely = replace(TORN, intent=Estimate("account_takeover", 0.9))
    assert team_of(TICKET, Policy(), reasons=("unsupported_language",), triage=surely) == "frontline"
    critical = ("critical_severity", "unsupported_language")
    assert team_of(TICKET, Policy(), reasons=critical, triage=surely) == "on_call"
