"""The runbook that fits a ticket is found by what its text asks; none when none fits, or two fit alike."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from asoe.ai.local import LocalAI
from asoe.desk.runbook import matching
from asoe.desk.runbook.language import read_runbook
from asoe.desk.runbook.shelf import Shelved
from asoe.domain.ticket import Ticket
from asoe.store.runs import Client

BOOKS = Path(__file__).parents[2] / "evals/telecom/runbooks"
FITS = {
    "phone-service": """My phone has no bars since this morning.|Customer's handset says No Service, can't call anyone.
No reception at all on 555-200-1000, calls fail.|The line is dead, I cannot phone or text.|Phone out of service, unpaid bill maybe.
Cell phone can't connect to the carrier's network.|Agent note: Samuel Wright, 555-700-3141, no service. May pay overdue bills.""",
    "mobile-data": """The internet on my mobile is crawling.|I can't open any site without wifi.|Mobile data stopped working while travelling.
Customer complains of a slow connection when streaming on her phone.|No internet access outside the house.
Apps keep loading forever on cellular data.|Rita, 555-200-1001, abroad, slow data, top-up of 2 GB is fine.""",
    "picture-messages": """I can't send photos by text message.|MMS keep failing.|Group chat with pictures does not deliver.
Images I text never arrive.|Her multimedia messages get stuck on sending.|Photo messages fail, normal texts are OK.""",
}
FITS_NONE = """I want a refund for last month.|How do I change my password?|What are your opening hours?|The export job failed.
My invoice has the wrong address.|I'd like to order a new phone.|Please close my account.|I love your service, thanks!
Can I keep my number when I switch to you?|You may add 2 GB of data.|no|555-200-1000"""
TWINS = """
runbook: {name}
title: Unlock an account
resolution_type: auto_fix
match: {{phrases: [I am locked out of my account]}}
connectors: {{estate: estate}}
goal: {{reads: [{{call: estate.get, with: {{}}, into: account}}], met: =account.open}}
steps: [{{escalate: no_way}}]
"""


@pytest.fixture(scope="module")
async def ai():
    local = await LocalAI.load()
    yield local
    await local.close()


@pytest.fixture(scope="module")
def books() -> list[Shelved]:
    return [Shelved(uuid4(), read_runbook(file.read_text()), "auto") for file in sorted(BOOKS.glob("*.yaml"))]


def phrases(text: str) -> list[str]:
    return [phrase for line in text.splitlines() for phrase in line.split("|")]


async def find(ai: LocalAI, books: list[Shelved], text: str) -> str | None:
    judged = await ai.triage("", text)
    now = datetime.now(UTC)
    ticket = Ticket(
        uuid4(),
        uuid4(),
        1,
        judged.category.value,
        "medium",
        "open",
        created_at=now,
        updated_at=now,
        version=1,
        body=text,
    )
    found = await matching.best(
        SimpleNamespace(ai=ai, phrases={}), books, ticket=ticket, triage=judged, question=text, client=Client()
    )
    names = {book.runbook_id: book.runbook.name for book in books}
    return names[found.runbook_id] if found else None


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FITS.items() for text in phrases(texts)])
async def test_a_ticket_finds_the_runbook_it_is_for(ai: LocalAI, books: list[Shelved], name: str, text: str) -> None:
    assert await find(ai, books, text) == name


@pytest.mark.parametrize("text", phrases(FITS_NONE))
async def test_what_no_runbook_is_for_finds_none(ai: LocalAI, books: list[Shelved], text: str) -> None:
    assert await find(ai, books, text) is None


async def test_of_two_that_fit_alike_none_is_taken(ai: LocalAI) -> None:
    books = [Shelved(uuid4(), read_runbook(TWINS.format(name=name)), "auto") for name in ("one", "two")]
    assert await find(ai, books[:1], "I am locked out of my account") == "one"
    assert await find(ai, books, "I am locked out of my account") is None


async def test_a_condition_that_does_not_hold_keeps_a_runbook_out(ai: LocalAI) -> None:
    text = TWINS.format(name="one").replace("match: {", "match: {when: '=ticket.category == \"nothing\"', ")
    assert await find(ai, [Shelved(uuid4(), read_runbook(text), "auto")], "I am locked out of my account") is None


LOCKED = "I am locked out of my account."


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (LOCKED, []),
        (f"{LOCKED} Kind regards, Ana. My colleague uses a Mac.", []),
        (f"{LOCKED} Also, I cannot get into my account any more.", []),
        (f"{LOCKED} Also, the printer on the third floor smells of smoke.", ["Also, the printer on the third floor smells of smoke."]),
        (f"{LOCKED}\nOur weekly parcels never arrive.", ["Our weekly parcels never arrive."]),
        (f"{LOCKED} besides one more thing: parcels never arrive", ["one more thing: parcels never arrive"]),
    ],
)  # fmt: skip
async def test_a_complaint_that_no_runbook_mended_is_left_over(ai: LocalAI, text: str, left: list[str]) -> None:
    book = Shelved(uuid4(), read_runbook(TWINS.format(name="one")), "auto")
    found = await matching.left_over(SimpleNamespace(ai=ai, phrases={}), [book], text, mended={str(book.runbook_id)})
    assert [one for one in found if one != "besides"] == left


async def test_a_complaint_of_a_runbook_that_mended_nothing_is_left_over(ai: LocalAI) -> None:
    book = Shelved(uuid4(), read_runbook(TWINS.format(name="one")), "auto")
    found = await matching.left_over(SimpleNamespace(ai=ai, phrases={}), [book], f"Also, {LOCKED}", mended=set())
    assert found == [f"Also, {LOCKED}"]


async def test_what_was_mended_and_nothing_is_about_is_what_was_left_over(ai: LocalAI) -> None:
    locked = Shelved(uuid4(), read_runbook(TWINS.format(name="one")), "auto")
    parcels = TWINS.format(name="two").replace(
        "I am locked out of my account", "the conveyor belt of the depot has stopped"
    )
    belt = Shelved(uuid4(), read_runbook(parcels), "auto")
    text = f"{LOCKED}\nOur weekly parcels never arrive."
    desk, mended = SimpleNamespace(ai=ai, phrases={}), {str(locked.runbook_id)}
    assert await matching.left_over(desk, [locked, belt], text, mended=mended) == ["Our weekly parcels never arrive."]
    assert await matching.left_over(desk, [locked, belt], text, mended={*mended, str(belt.runbook_id)}) == []


async def test_a_complaint_without_words_of_failing_is_left_until_its_runbook_has_mended_or_looked(ai: LocalAI) -> None:
    locked = Shelved(uuid4(), read_runbook(TWINS.format(name="one")), "auto")
    slow = TWINS.format(name="two").replace("I am locked out of my account", "every page takes a minute to appear")
    agrees = "the line may be restarted at night"
    consent = f"slots: [{{name: go, type: consent, question: {{en: May we?}}, examples: {{given: [{agrees}]}}}}]\ngoal:"
    belt = Shelved(uuid4(), read_runbook(slow.replace("goal:", consent, 1)), "auto")
    desk, did, looked = SimpleNamespace(ai=ai, phrases={}), {str(locked.runbook_id)}, {str(belt.runbook_id)}
    text = f"{LOCKED}\nPages come up at a snail's pace, a minute each."
    left = await matching.left_over(desk, [locked, belt], text, mended=did)
    assert left == ["Pages come up at a snail's pace, a minute each."]
    assert await matching.left_over(desk, [locked, belt], text, mended=did, in_order=looked) == [], "it was looked into"
    assert await matching.left_over(desk, [locked, belt], text, mended=did | looked) == []
    assert await matching.left_over(desk, [locked, belt], f"{LOCKED} {agrees.capitalize()}.", mended=did) == []


async def test_before_a_person_must_look_every_runbook_that_asks_nothing_does(ai: LocalAI) -> None:
    asks = "slots: [{name: pin, type: identifier, pattern: '[0-9]{6}', question: {en: What is your PIN?}}]\ngoal:"
    texts = [TWINS.format(name="one"), TWINS.format(name="two").replace("locked out of", "asked to pay for")]
    texts.append(TWINS.format(name="three").replace("goal:", asks))
    books = [Shelved(uuid4(), read_runbook(text), "auto") for text in texts]
    ticket = Ticket(uuid4(), uuid4(), 1, "account", "medium", "open", datetime.now(UTC), datetime.now(UTC), 1)
    found = await matching.fitting(
        SimpleNamespace(ai=ai, phrases={}),
        books,
        ticket=ticket,
        triage=None,
        question="They keep me out of my account",
        client=Client(),
        is_last=True,
    )
    assert [one.runbook_id for one in found] == [books[0].runbook_id, books[1].runbook_id]


async def test_before_anything_is_called_fixed_what_explains_it_as_well_is_looked_at(ai: LocalAI) -> None:
    texts = [TWINS.format(name="one"), TWINS.format(name="two"), TWINS.format(name="three")]
    texts[2] = texts[2].replace("I am locked out of my account", "the conveyor belt of the depot has stopped")
    one, two, belt = (Shelved(uuid4(), read_runbook(text), "auto") for text in texts)
    ticket = Ticket(uuid4(), uuid4(), 1, "account", "medium", "open", datetime.now(UTC), datetime.now(UTC), 1)
    found = await matching.fitting(
        SimpleNamespace(ai=ai, phrases={}),
        [one, two, belt],
        ticket=ticket,
        triage=None,
        question=LOCKED,
        client=Client(),
        is_last=True,
        besides=[str(one.runbook_id)],
    )
    assert [each.runbook_id for each in found] == [two.runbook_id]
