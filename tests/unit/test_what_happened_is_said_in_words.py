"""Facts on pages: what the engine did is told as deeds, what another line tells is not told twice, runs have their runbook's name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from asoe.domain.facts import FACTS
from asoe.web import words


@pytest.mark.parametrize("kind", sorted({*words._DEEDS, *words._TOLD_ELSEWHERE}))
def test_only_facts_that_there_are_have_words(kind: str) -> None:
    assert kind in FACTS


def test_deeds_have_the_engine_as_their_subject() -> None:
    assert words.deed("ticket.answered") == "Answered a client from the knowledge base"
    assert words.deed("ticket.moved") == ""
    assert words.deed("draft.made") == words.sentence("draft.made")


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("run.started", {"run_id": "r", "mode": "live"}, "unlock: started"),
        ("run.started", {"run_id": "r", "mode": "dry_run"}, "unlock: started as dry run"),
        (
            "run.acted",
            {"run_id": "r", "connector": "estate", "action": "lock", "status": "done"},
            "unlock: lock in estate, done",
        ),
        (
            "run.acted",
            {"run_id": "r", "connector": "estate", "action": "lock", "status": "failed", "is_undo": True},
            "unlock: took back lock in estate, failed",
        ),
        ("run.ended", {"run_id": "r", "verdict": "verified", "reason": None}, "unlock: ended, verified"),
        ("run.ended", {"run_id": "r", "verdict": "failed", "reason": "too_slow"}, "unlock: ended, failed, too slow"),
        ("run.waiting", {"run_id": "r", "waiting_for": "approval"}, "unlock: waits for approval"),
        ("autonomy.changed", {"runbook_id": "b", "after": "approve"}, "unlock: may now go as far as approve"),
        ("approval.requested", {"run_id": "r"}, "unlock: a person is asked to agree to one act"),
        ("run.ended", {"run_id": "gone", "verdict": "verified"}, words.sentence("run.ended")),
    ],
)
def test_a_run_is_told_by_the_name_of_its_runbook(kind: str, data: dict[str, object], said: str) -> None:
    assert words.fact(kind, data, {"r": "unlock", "b": "unlock"}) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(5, "1 min"), (240, "4 min"), (3600, "1 h"), (9000, "2.5 h"), (3 * 86_400, "3 d")]
)
def test_how_long_it_took_is_said_in_one_unit(seconds: int, said: str) -> None:
    begun = datetime(2026, 11, 23, tzinfo=UTC)
    assert words.span(begun, begun + timedelta(seconds=seconds)) == said
    assert words.until(begun, begun + timedelta(seconds=seconds)) == f"{said} late"
