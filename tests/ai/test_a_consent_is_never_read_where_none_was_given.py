"""A consent is given only by words that give it, for this, up to what they say; everything else is not read as one."""

from decimal import Decimal

import pytest
from evals.slots import LINE, OPS, read_rows, score

from asoe.ai.local import Models
from asoe.ai.slots import SlotText, read_slots
from asoe.domain.runbook import Consent, SlotReading

ABSENT = """My data is slow.|How much does 2 GB cost?|May we add data?|Do you need my permission to add data?
I added 2 GB yesterday and it is slow again.|Maybe I want more data.|I'll think about adding data.|She was not asked about a top-up.
Top-up: pending.|Top-up: unknown.|The customer has not decided about more data.|Consent to top-up: not obtained.
My friend said you could add 2 GB.|You may add 2 GB, but call me first.|Ask my husband before adding data.
If it is free, add 2 GB.|You can add data as long as it costs nothing.|Add 2 GB only after I have confirmed the price.
She agreed to restart the phone.|He consents to being called back.|My plan allows 10 GB.|I have permission to use 2 GB at work.
Last month I gave permission to add 2 GB.|You can change my plan.|You can pay my bill.|ok thanks|yes|go ahead|sure, 2 minutes is fine"""
REFUSED = """Do not add any data.|No top-up please.|I don't want to buy data.|She refuses to pay for additional data.|Extra data: no.
He is not willing to top up.|Under no circumstances buy more data.|Top-up? No.|I would rather not buy data.|Refuelling declined.
Adding data is not ok.|You may not add data.|Please don't top up my data.|Keine Daten nachbuchen bitte.|No quiero comprar datos."""
GIVEN = """You can add 2 GB.|Please add 2 GB to my line.|Extra data: yes, max 2 GB|She agrees to a top-up of up to two gigs.|2 GB extra? Fine by me.
I wouldn't mind buying 2 GB more.|Go ahead and top up 2 gigabytes if necessary.|Top-up approved (2 GB), plan change refused.
No objection to adding 2 GB.|He's happy to refuel 2.0 GB but wants to keep his plan.|Feel free to add a couple of gigs."""
UNSAFE_TAILS = ("but not today", "no wait", "not yet", "ask me first", "I am not sure though", "only if it is free")


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.load()


def phrases(text: str) -> list[str]:
    return [phrase for line in text.splitlines() for phrase in line.split("|")]


def read(models: Models, *texts: str, asked: bool = False, language: str = "en") -> dict[str, SlotReading]:
    question = [SlotText("message:0", LINE[0].question["en"], role="engine")] if asked else []
    said = [SlotText(f"message:{number}", text) for number, text in enumerate(texts, 1)]
    return read_slots(LINE, [*question, *said], encoder=models.encoder, language=language)


def status(reading: SlotReading) -> str:
    return reading.value.status if reading.status == "read" else "absent"


@pytest.mark.parametrize("text", phrases(ABSENT))
def test_what_gives_no_consent_is_not_read_as_one(models: Models, text: str) -> None:
    found = read(models, text)
    assert status(found["top_up"]) != "given"
    if "bill" not in text:
        assert status(found["pay_bill"]) != "given"
    if "plan" not in text:
        assert status(found["plan_change"]) != "given"


@pytest.mark.parametrize("text", phrases(REFUSED))
def test_a_refusal_is_never_a_consent(models: Models, text: str) -> None:
    found = read(models, text, language="und")
    assert status(found["top_up"]) == "refused"
    assert status(found["pay_bill"]) != "given"


@pytest.mark.parametrize("text", phrases(GIVEN))
def test_a_consent_is_read_with_its_amount(models: Models, text: str) -> None:
    found = read(models, text)
    assert found["top_up"].value == Consent("given", Decimal(2), "GB")
    assert status(found["plan_change"]) != "given"
    assert status(found["pay_bill"]) != "given"


@pytest.mark.parametrize("tail", UNSAFE_TAILS)
@pytest.mark.parametrize("text", ["You can add 2 GB", "I agree to a top-up of 2 GB"])
def test_doubt_in_the_same_sentence_takes_a_consent_away(models: Models, text: str, tail: str) -> None:
    assert status(read(models, f"{text}, {tail}.")["top_up"]) != "given"


@pytest.mark.parametrize("unit", [("3 MB", "0.003"), ("500 MB", "0.5"), ("half a gig", "0.5"), ("1,5 GB", "1.5")])
def test_never_more_is_read_than_was_said(models: Models, unit: tuple[str, str]) -> None:
    found = read(models, f"You may add {unit[0]}.")["top_up"]
    assert found.value == Consent("given", Decimal(unit[1]), "GB")


def test_a_later_message_overrides_an_earlier_one(models: Models) -> None:
    assert status(read(models, "You can add 2 GB.", "No, don't add any data.")["top_up"]) == "refused"
    assert status(read(models, "You can add 2 GB.", "I take that back.")["top_up"]) == "refused"
    assert read(models, "No top-up.", "OK, you can add 1 GB.")["top_up"].value == Consent("given", Decimal(1), "GB")
    assert read(models, "2 GB top-up ok.", "Make that 1 GB at most.")["top_up"].value.amount == Decimal(1)
    assert read(models, "You can add 2 GB.", "Any news?")["top_up"].value.amount == Decimal(2)


def test_a_bare_yes_answers_only_what_was_asked(models: Models) -> None:
    found = read(models, "Yes, go ahead", asked=True)
    assert status(found["top_up"]) == "given"
    assert status(found["pay_bill"]) == status(found["plan_change"]) == "absent"
    assert status(read(models, "No.", asked=True)["top_up"]) == "refused"
    assert status(read(models, "hm, not sure", asked=True)["top_up"]) != "given"
    assert status(read(models, "Yes, go ahead")["top_up"]) == "absent"


def test_staff_and_engine_cannot_consent_for_a_client(models: Models) -> None:
    said = [SlotText("message:1", "You can add 2 GB.", role="agent"), SlotText("message:2", "It is slow.")]
    assert status(read_slots(LINE, said, encoder=models.encoder, language="en")["top_up"]) == "absent"


def test_what_staff_wrote_down_is_no_yes_and_may_be_a_no(models: Models) -> None:
    def top_up(*said: SlotText) -> str:
        return status(read_slots(LINE, list(said), encoder=models.encoder, language="en")["top_up"])

    yes, no = "You can add 2 GB of extra data.", "No extra data, please."
    own, noted = SlotText("message:1", yes), SlotText("message:2", yes, role="staff")
    assert top_up(own) == "given", "the words are fit for it"
    assert top_up(noted) == "absent"
    assert top_up(SlotText("message:1", "It is slow."), noted) == "absent"
    assert top_up(own, noted) == "given"
    assert top_up(own, SlotText("message:2", no, role="staff")) == "refused"


def test_siblings_are_told_apart(models: Models) -> None:
    found = read(models, "Bills: yes; plan change: no; extra data: yes, 1 GB.")
    assert [status(found[name]) for name in ("pay_bill", "plan_change", "top_up")] == ["given", "refused", "given"]
    ops = read_slots(OPS, [SlotText("b", "Restart: fine. Extra costs: none.")], encoder=models.encoder, language="en")
    assert [status(ops[name]) for name in ("restart", "spend")] == ["given", "refused"]


@pytest.mark.parametrize(
    "text",
    ["", " ", "?!", "yes " * 400, "no, " * 2000, "2 GB " * 300, "a" * 70_000, "if " * 20_000, "\u202e\ufeff≤2 GB"],
)
def test_odd_text_gives_nothing_and_costs_little(models: Models, text: str) -> None:
    assert status(read(models, text)["top_up"]) != "given"


def test_own_texts_are_read_above_the_floor(models: Models) -> None:
    """The floor of what is measured by `python -m evals.slots`: see evals/README.md for what these texts are worth."""
    report = score(read_rows("all"), models.encoder).report()
    assert report["given_where_none_was"] == report["given_for_too_much"] == 0
    assert report["given_recall"]["rate"] >= 0.93
    assert report["refusals"]["rate"] >= 0.85
    assert report["values"]["rate"] >= 0.95
    assert report["values_read_wrong"] <= 6
