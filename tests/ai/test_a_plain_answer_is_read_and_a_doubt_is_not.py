"""An answer to the very question is a yes, a no or a number in a few words; a condition, a doubt or a question back is none of these."""

from decimal import Decimal

import pytest
from evals.estate.cases import read_words

from asoe.ai.slots.answer import read_answer
from asoe.domain.runbook import Consent, Slot

SLOT = Slot("go", "consent", {"en": "May we?"})
SEATS = Slot("seats", "consent", {"en": "How many?"}, unit="seats")


def said(text: str, slot: Slot = SLOT) -> str | None:
    found = read_answer(slot, text)
    return None if found is None else found.status


@pytest.mark.parametrize(
    "text",
    [
        "Yes.",
        "Hi there,\nyes, please do.\n\nBest regards\nAna",
        "no problem, go ahead",
        "We have no objection at all.",
        "Ja, gern. Nichts dagegen.",
        "Sin problema, adelante",
        "Pas de souci, allez-y !",
        "👍",
        "Yes.\n\nOn Monday, support@acme.example wrote:\n> May we? Please answer “yes” or “no”.",
    ],
)
def test_a_plain_yes_is_one(text: str) -> None:
    assert said(text) == "given"


@pytest.mark.parametrize(
    "text", ["No.", "nope, leave it", "Nein danke", "Mejor no", "Surtout pas", "👎", "Please don't touch it.", "Never!"]
)
def test_a_plain_no_is_one(text: str) -> None:
    assert said(text) == "refused"


@pytest.mark.parametrize(
    "text",
    [
        "Yes, but only if it costs nothing.",
        "Yes if my boss agrees",
        "What happens if I say yes?",
        "Are you sure?",
        "I do not agree",
        "ok what does that mean",
        "I have to think about it",
        "Ja, aber erst morgen",
        "Hello",
        "yes " * 50,
        "",
    ],
)
def test_what_is_not_plain_is_no_yes(text: str) -> None:
    assert said(text) != "given"


@pytest.mark.parametrize(
    ("text", "amount"),
    [("3", 3), ("Three, please.", 3), ("yes, 2 more", 2), ("Wir nehmen vier Plätze", 4), ("12 seats", 12)],
)
def test_a_number_answers_how_many(text: str, amount: int) -> None:
    assert read_answer(SEATS, text) == Consent("given", Decimal(amount), "seats")


def test_two_numbers_name_no_amount_and_none_is_a_no() -> None:
    assert read_answer(SEATS, "yes, 2 or 3") == Consent("given", None, "seats")
    assert said("0", SEATS) == "refused"
    assert read_answer(SLOT, "3") is None


def test_no_withheld_answer_of_the_evaluation_is_read_as_given() -> None:
    lines = [line for words in read_words("answers.yaml")["no"].values() for line in words]
    assert [line for line in lines if said(line) == "given"] == []
