"""Values keep the form the client gave them; two that fit equally are unsure; what is not there is absent."""

from decimal import Decimal

import pytest
from evals.slots import LINE

from asoe.ai.local import LocalAI, Models
from asoe.ai.slots import SlotText, read_slots
from asoe.domain.runbook import Slot, SlotReading


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.load()


def slot(type_: str, **more) -> Slot:
    return Slot("it", type_, {"en": more.pop("question", "Which one?")}, **more)


def read(models: Models, wanted: Slot, *texts: str) -> SlotReading:
    said = [SlotText("ticket.body" if n == 0 else f"message:{n}", text) for n, text in enumerate(texts)]
    return read_slots([wanted], said, encoder=models.encoder, language="en")["it"]


@pytest.mark.parametrize(
    ("wanted", "text", "value"),
    [
        (slot("phone"), "My number is 555-123-9876, thanks", "555-123-9876"),
        (slot("phone"), "call +49 30 901820 please", "+49 30 901820"),
        (slot("phone"), "on (212) 555-0199 since Monday", "(212) 555-0199"),
        (slot("email"), "write to ana.k+x@acme.example.", "ana.k+x@acme.example"),
        (slot("identifier", pattern=r"INV-\d{4}"), "see INV-2207, not INV-22", "INV-2207"),
        (slot("date"), "since 3 May 2026", "2026-05-03"),
        (slot("date"), "am 03.05.2026", "2026-05-03"),
        (slot("date"), "on March 9th, 2026 it broke", "2026-03-09"),
        (slot("number", question="How many seats?"), "we need 12 seats", Decimal(12)),
        (slot("number", question="How many seats?"), "three seats please", Decimal(3)),
        (slot("amount", unit="USD"), "about $1,250.50 was taken", Decimal("1250.5")),
        (slot("amount", unit="EUR"), "20 Euro zu viel", Decimal(20)),
        (slot("name"), "My name is Ana Kowalska and I am locked out", "Ana Kowalska"),
        (slot("name"), "Customer name: Li Wei, phone below", "Li Wei"),
        (slot("boolean", question="Is it urgent?"), "It is not urgent at all", False),
    ],
)
def test_a_value_is_read_as_written(models: Models, wanted: Slot, text: str, value: object) -> None:
    found = read(models, wanted, text)
    assert (found.status, found.value, found.source) == ("read", value, "ticket.body")


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (slot("phone"), "order number: 555-123-9876"),
        (slot("phone"), "it failed on 2026-03-04"),
        (slot("phone"), "error 404 at 10:22"),
        (slot("email"), "mail me @ home"),
        (slot("identifier", pattern=r"INV-\d{4}"), "INV-22071"),
        (slot("date"), "on 2026-13-45"),
        (slot("number", question="How many seats?"), "it takes 12 minutes"),
        (slot("name"), "the phone is broken"),
        (slot("text"), "a ticket's opening is no answer"),
    ],
)
def test_what_only_looks_like_a_value_is_absent(models: Models, wanted: Slot, text: str) -> None:
    found = read(models, wanted, text)
    assert (found.status, found.value) == ("absent", None)


def test_two_values_that_fit_equally_are_unsure(models: Models) -> None:
    assert read(models, slot("email"), "a@acme.example or b@acme.example").status == "unsure"
    assert read(models, slot("email"), "a@acme.example, again a@acme.example").value == "a@acme.example"


def test_a_later_message_corrects_an_earlier_one(models: Models) -> None:
    found = read(models, slot("email"), "a@acme.example", "sorry, b@acme.example")
    assert (found.value, found.source) == ("b@acme.example", "message:1")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("She is at home.", "home"),
        ("I'm not travelling.", "home"),
        ("I am not at home, I'm abroad.", "abroad"),
        ("He is on holiday in Kenya.", "abroad"),
        ("Currently visiting relatives in Chile", "abroad"),
        ("Came back from Spain last week and is home again", "home"),
        ("ich bin im Urlaub in Italien", "abroad"),
    ],
)
def test_a_choice_generalizes_from_its_examples(models: Models, text: str, place: str) -> None:
    found = read_slots(LINE, [SlotText("b", text)], encoder=models.encoder, language="en")["place"]
    assert (found.status, found.value) == ("read", place)


@pytest.mark.parametrize("text", ["My data is slow.", "The bill is too high.", "Please fix it."])
def test_a_choice_is_not_guessed(models: Models, text: str) -> None:
    assert read_slots(LINE, [SlotText("b", text)], encoder=models.encoder, language="en")["place"].status == "absent"


async def test_the_desk_reads_through_its_port(models: Models) -> None:
    ai = LocalAI(models)
    found = await ai.read_slots([slot("email")], [SlotText("ticket.body", "a@acme.example")], language="en")
    await ai.close()
    assert found["it"].value == "a@acme.example"
