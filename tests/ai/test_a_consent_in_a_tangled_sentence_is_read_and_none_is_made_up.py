"""Letters written for development: long, tangled and indirect consents are read, and none from what withholds it."""

from dataclasses import replace

import pytest
from evals.estate.reading import Letter, letters, slots, wrong

from asoe.ai.encoder import RememberingEncoder
from asoe.ai.local import Models
from asoe.ai.slots import SlotText, read_slots
from asoe.domain.runbook import Slot

READ_AT_LEAST = 0.62
TRASH = Slot(
    "empty_trash",
    "consent",
    {"en": "May we delete what is in your trash for good?"},
    examples={
        "given": ("you may empty our trash for good", "the trash may be emptied", "clear the recycle bin"),
        "refused": ("do not empty the trash",),
    },
)


@pytest.fixture(scope="module")
def models() -> Models:
    found = Models.load()
    return replace(found, encoder=RememberingEncoder(found.encoder, most=20_000))


def is_given(models: Models, text: str) -> bool:
    found = read_slots([TRASH], [SlotText("ticket.body", text)], encoder=models.encoder, language="en")["empty_trash"]
    return found.status == "read" and found.value.status == "given"


@pytest.mark.parametrize(
    "text",
    [
        "If it takes clearing out the trash then by all means clear it.",
        "I'd rather you emptied our trash than sold us more space.",
        "You asked if the trash may be emptied; the answer is yes.",
        "Nobody here will miss what is in the trash, so go ahead and empty it for good.",
    ],
)
def test_a_sentence_gives_as_a_whole_what_no_part_of_it_gives(models: Models, text: str) -> None:
    assert is_given(models, text)


@pytest.mark.parametrize(
    "text",
    [
        "I'd rather you sold us more space than empty our trash.",
        "You asked if the trash may be emptied; it may not.",
        "Our consultants say that the trash may be emptied.",
        "We'd let you empty the trash if we knew what is in it.",
        "After the holidays you may empty the trash.",
        "Please restore everything that was deleted to the trash.",
        "Go ahead and check how large the trash is.",
        "Does the trash count? Our wifi is fine.",
        "You can empty the trash at your own cost.",
        "One of us wants the trash emptied, one of us doesn't.",
        "Leave me off it, please, and just empty your own bin.",
        "The trash is full because we want it untouched.",
        "I'll clear the trash over the weekend.",
        "Our caretaker says you may empty our trash.",
        "Empty the other bin, please, this one is full of things we need.",
        'Your page says "you may empty our trash for good" and I wonder why.',
    ],
)  # fmt: skip
def test_what_is_hypothetical_anothers_or_another_act_gives_nothing(models: Models, text: str) -> None:
    assert not is_given(models, text)


def test_a_sentence_that_is_nearer_to_a_consent_of_another_runbook_is_not_read_as_ours(models: Models) -> None:
    consents = [slots()["empty_trash"], slots()["delete_partial"]]
    said = [SlotText("ticket.body", "You may get rid of the unfinished file and make a new export.")]
    found = {
        slot.name: read_slots([slot], said, encoder=models.encoder, language="en", beside=consents)[slot.name].value
        for slot in consents
    }
    assert found["empty_trash"] is None
    assert found["delete_partial"].status == "given"


def test_letters_of_the_shipped_runbooks_are_read_above_the_floor(models: Models) -> None:
    """A fifth of what `python -m evals.estate.reading` counts; see docs/evidence.md."""
    assert len(slots()) == 8
    read = [(one, wrong(one, one.text, models.encoder)) for one in list(letters())[::5]]
    assert [one.text for one, (_, false) in read if false and one.kind in {"withheld", "plain"}] == []
    given = [missed is None for one, (missed, _) in read if one.kind == "given"]
    assert sum(given) / len(given) >= READ_AT_LEAST


def test_letters_are_of_each_kind_and_half() -> None:
    told = list(letters())
    assert all(isinstance(one, Letter) for one in told)
    counts = {kind: sum(one.kind == kind for one in told) for kind in ("given", "withheld", "another", "own")}
    assert counts["given"] >= 160
    assert counts["withheld"] >= 120
