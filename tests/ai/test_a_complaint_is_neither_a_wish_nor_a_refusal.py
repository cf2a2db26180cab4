"""What fails to happen is complained of: it refuses nothing, gives nothing, and does not take back what is given elsewhere."""

import pytest

from asoe.ai.local import Models
from asoe.ai.slots import SlotText, read_slots
from asoe.ai.slots.permission import cue_of, fails
from asoe.domain.runbook import Slot

MAIL = Slot(
    "mail_again",
    "consent",
    {"en": "Do you want to receive our mail again?"},
    examples={
        "given": ("I want to receive your mail", "please mail me again"),
        "refused": ("do not send me any mail",),
    },
)
PAUSE = Slot(
    "end_pause",
    "consent",
    {"en": "May the pause end?"},
    examples={"given": ("the pause may end", "please end the pause"), "refused": ("the pause must stay",)},
)
COMPLAINTS = """your mail never shows up|I get no mail from you|nothing reaches me|the mail has not come|mail is no longer delivered here
our server cannot be reached|I cannot open the mail|there is no free seat|no seats left|it does not start any more
i never get the notices|no message ever comes|the log shows no attempt|nothing changed on our side|today it just won t end|neither ends nor fails
ich bekomme keine mails mehr|die suche funktioniert hier nicht|no recibo correos|je ne recois plus rien"""
GIVEN = """I want to receive your mail.|Your mail never arrives. I do want your mail again.|If I blocked it, I want your mail again.
Please mail me again, also if I said otherwise before.|I never get your notices. I want to receive your mail.
Your mail is useful. If it stopped because of me: mail me again."""
NOT_GIVEN = """Your mail never arrives.|I want my money back, and your mail is late.|Do not send me any mail. It never arrives.|Do I want your mail?
I want to know why your mail never arrives.|I never get your mail.|We can do without your mail.|Please mail testing results again.|I want your mail, but ask me first."""


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.load()


def phrases(text: str) -> list[str]:
    return [phrase for line in text.splitlines() for phrase in line.split("|")]


def is_given(models: Models, slot: Slot, text: str) -> bool:
    reading = read_slots([slot], [SlotText("ticket.body", text)], encoder=models.encoder, language="en")[slot.name]
    return reading.status == "read" and reading.value.status == "given"


@pytest.mark.parametrize("words", [f" {text} " for text in phrases(COMPLAINTS.lower())])
def test_what_does_not_happen_is_no_cue(words: str) -> None:
    assert fails(words)
    assert cue_of(words, language="en").polarity == "none"


@pytest.mark.parametrize("words", [" no mail please ", " do not start it ", " we do not want to get mail ", " i refuse ", " that does not work for me ", " it will not be paid ", " no puedo aceptar "])  # fmt: skip
def test_a_refusal_stays_one(words: str) -> None:
    assert cue_of(words, language="en").polarity == "refused"


@pytest.mark.parametrize("text", phrases(GIVEN))
def test_a_wish_gives_where_the_examples_say_so(models: Models, text: str) -> None:
    assert is_given(models, MAIL, text)


@pytest.mark.parametrize("text", phrases(NOT_GIVEN))
def test_other_wants_and_doubts_give_nothing(models: Models, text: str) -> None:
    assert not is_given(models, MAIL, text)


def test_a_wish_gives_nothing_where_no_example_says_so(models: Models) -> None:
    assert not is_given(models, PAUSE, "I want the end of the pause.")


@pytest.mark.parametrize("text", ["The pause may end now.", "If one of us set it, the pause may end.", "Should it be ours: the pause may end."])  # fmt: skip
def test_what_may_go_on_is_said_of_the_thing(models: Models, text: str) -> None:
    assert is_given(models, PAUSE, text)


@pytest.mark.parametrize("text", ["May the pause end?", "The pause may not end.", "My boss said the pause may end.", "The pause may end if my boss agrees."])  # fmt: skip
def test_and_is_not_when_it_is_asked_denied_or_tied(models: Models, text: str) -> None:
    assert not is_given(models, PAUSE, text)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("We can do without the rows it wrote, delete them.", True),
        ("The rows it wrote are on the second page, delete them.", True),
        ("Your two notes are in the trash, delete them.", False),
        ("We cannot do anything without the rows, do not delete them.", False),
    ],
)
def test_an_order_means_what_was_just_named(models: Models, text: str, given: bool) -> None:
    examples = {"given": ("delete the rows it wrote", "the rows may go"), "refused": ("keep the rows",)}
    slot = Slot("delete_rows", "consent", {"en": "May we delete the rows?"}, examples=examples)
    assert is_given(models, slot, text) is given
