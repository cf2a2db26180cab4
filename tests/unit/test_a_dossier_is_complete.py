"""Whatever the reason and the language, a dossier holds all a person needs: history, likely cause, what was not done, reply, next step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from asoe.desk.escalation import NEXT_STEPS, build_dossier
from asoe.desk.in_short import in_short
from asoe.desk.suggestion import suggested_reply
from asoe.domain.escalation import REASONS, missing_fields
from asoe.domain.session import Message
from asoe.domain.ticket import Ticket

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
TICKET = Ticket(
    id=UUID(int=1), org_id=UUID(int=2), number=7, created_at=NOW, updated_at=NOW, version=1, status="triaging",
    category="billing", severity="medium", intent="double_charge", language="en", channel="api",
    subject="Charged {twice} <b>", body="You charged me twice in May.",
)  # fmt: skip
BEFORE = replace(
    TICKET, id=UUID(int=3), number=3, status="closed", created_at=datetime(2026, 5, 2, tzinfo=UTC),
    resolution={"type": "billing_sync", "verdict": "verified", "summary": "The second charge was given back."},
)  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("language", ["en", "de", "es", "fr", "it"])
def test_every_reason_has_a_reply_in_every_language(reason: str, language: str) -> None:
    said = suggested_reply(TICKET, (reason,), language)
    quoted = {"de": "„Charged {twice} <b>“", "es": "«Charged {twice} <b>»", "fr": "« Charged {twice} <b> »"}
    assert f"{quoted.get(language, '“Charged {twice} <b>”')} (#7)" in said
    assert 60 < len(said) < 420
    if language in {"de", "es", "fr"}:
        assert said != suggested_reply(TICKET, (reason,), "en")


def test_a_reply_names_the_matter_whatever_the_client_wrote() -> None:
    assert "(#7)" in suggested_reply(replace(TICKET, subject="", body="word " * 100), (), "en")
    assert len(suggested_reply(replace(TICKET, subject="x" * 500), (), "en")) < 400
    assert ": #7." in suggested_reply(replace(TICKET, subject="", body=""), (), "en")


@pytest.mark.parametrize(
    ("intent", "reasons", "says", "next_step"),
    [
        (
            "double_charge",
            ("needs_action", "not_found"),
            "Under which address",
            "Find out with the client which account",
        ),
        ("double_charge", ("needs_action", "not_found"), "Under which address", "give back what is double"),
        ("refund_request", ("already_met",), "I have your request", "Decide on the refund"),
        ("thanks_or_feedback", ("already_met",), "Thank you for telling us", "ask the client what exactly they see"),
        ("webhook_missing", ("already_met", "anger"), "found nothing wrong", "ask the client what exactly they see"),
        ("account_takeover", ("critical_severity", "security"), "no password and no code", "Confirm the impact"),
        ("account_takeover", ("critical_severity", "security"), "no password and no code", "secure the account"),
        (
            "workflow_stuck",
            ("critical_severity", "needs_consent"),
            "I am on this now",
            "Ask the client for the consent",
        ),
        ("how_to", ("needs_action", "anger"), "I am sorry", "Check the facts"),
        ("how_to", ("low_confidence",), "what happened instead", "set the right category"),
    ],
)
def test_what_is_most_telling_decides_what_is_said_and_done(
    intent: str, reasons: tuple[str, ...], says: str, next_step: str
) -> None:
    made = build_dossier(
        replace(TICKET, intent=intent), None, reasons=reasons, team="t", messages=(), earlier=(), tried=(), not_done=()
    )
    assert says in made.suggested_reply
    assert next_step in made.next_step


@pytest.mark.parametrize(
    ("subject", "body", "about"),
    [
        ("WTF", "Your exports are broken since Monday. Nobody cares!!!", "“Your exports are broken since Monday”"),
        ("Charged twice", "You took it twice.", "“Charged twice”"),
        ("", "My order 4711 is late. Please look.", "“My order 4711 is late”"),
        ("Webhook", "", "“Webhook”"),
        ("Re:", "?", "#7"),
    ],
)
def test_a_reply_names_the_matter_and_not_an_exclamation(subject: str, body: str, about: str) -> None:
    assert about in suggested_reply(replace(TICKET, subject=subject, body=body), ("needs_action",), "en")


@pytest.mark.parametrize("reason", REASONS)
def test_a_dossier_lacks_nothing(reason: str) -> None:
    made = build_dossier(
        TICKET, None, reasons=(reason,), team="billing", messages=(), earlier=(BEFORE,), tried=(), not_done=()
    ).to_json()
    assert missing_fields(made) == ()
    assert made["history"] == ["#3 2026-05-02 billing, closed, billing_sync/verified: Charged {twice} <b>"]
    assert made["likely"] == ["the client had the same before (#3), which ended so: The second charge was given back."]
    assert made["links"] == [
        {
            "kind": "ticket",
            "id": str(BEFORE.id),
            "name": "#3 Charged {twice} <b>",
            "path": f"/api/support/ticket/{BEFORE.id}",
        }
    ]
    assert made["next_step"] in NEXT_STEPS.values() or reason in {
        "needs_action",
        "low_confidence",
        "no_grounded_answer",
    } | {"already_met", "not_found"}


def test_the_same_matter_that_is_still_open_is_named() -> None:
    still = replace(BEFORE, status="in_progress", resolution={})
    made = build_dossier(
        TICKET, None, reasons=("repeat_contact",), team="billing", messages=(), earlier=(still,), tried=(), not_done=()
    )
    assert made.likely == ("the client writes of the same in #3, which is open",)
    assert build_dossier(
        TICKET, None, reasons=("repeat_contact",), team="billing", messages=(), earlier=(replace(still, intent="how_to"),),
        tried=(), not_done=(),
    ).likely == ()  # fmt: skip


def message(text: str, seq: int = 1) -> Message:
    return Message(
        id=UUID(int=seq), session_id=UUID(int=9), ticket_id=TICKET.id, seq=seq, role="user", content=text, created_at=NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "Hi.\n\n\nCan you help?",
        "word " * 20_000,
        "x" * 65_536,
        "Why? " * 9_000,
        ". " * 30_000,
        "<b>\u2028</b>\x0b",
    ],
)
def test_the_matter_is_one_paragraph_whatever_was_written(text: str) -> None:
    for subject in ("", "Charged twice", "s" * 2_000):
        said = in_short(replace(TICKET, subject=subject, body=text), None, [message(text), message(text, 2)])
        assert len(said) < 800
        assert "\n" not in said
        assert "\u2028" not in said
        assert said.startswith("About billing, double charge; written in English over the API: “")


def test_the_paragraph_keeps_what_is_asked_and_what_was_said_last() -> None:
    story = (
        "I was charged in May. " + "It was a long month with many things. " * 20 + "Can I have the second charge back?"
    )
    said = in_short(TICKET, None, [message(story), message("And how long does it take?", 2)])
    assert "I was charged in May." in said
    assert "Can I have the second charge back?" in said
    assert said.endswith("Last, after 2 messages: “And how long does it take?”")
