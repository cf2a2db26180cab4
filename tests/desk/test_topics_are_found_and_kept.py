"""Topics are found in an organization's own tickets, keep number and name when found again, and say what their tickets took."""

from __future__ import annotations

from datetime import timedelta
from zlib import crc32

import numpy as np
import pytest

from asoe.desk import housekeeping, privacy, topic
from asoe.domain.errors import Conflict, Denied

SUBJECTS = {
    "export": "The export of invoices stands still",
    "password": "I cannot reset my password",
    "seats": "Please add seats to our team plan",
}


class Reader:
    """Reads a text as the subject whose word it holds, with a little of its own."""

    def __init__(self) -> None:
        self.read = 0
        self.trouble: Exception | None = None

    async def embed(self, texts):
        if self.trouble:
            raise self.trouble
        self.read += len(texts)
        made = np.zeros((len(texts), 384), np.float32)
        for row, text in enumerate(texts):
            dice = np.random.default_rng(crc32(text.encode()))
            made[row] = 0.5 * dice.normal(size=384) / np.sqrt(384) + 0.05
            made[row, next((place for place, word in enumerate([*SUBJECTS, "ledger"]) if word in text.lower()), 9)] += 1
        return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture
def reader(world, monkeypatch):
    made = Reader()
    monkeypatch.setattr(world.ai, "embed", made.embed)
    return made


async def tickets(world, word: str, count: int, *, days_ago: float = 1, org=None, text: str | None = None) -> None:
    """Bare rows of as many clients."""
    at = world.clock.now - timedelta(days=days_ago)
    await world.owner.execute(
        "with who as (insert into asoe.contacts (org_id, external_id) select $1, 'topic-' || gen_random_uuid()"
        " from generate_series(1, $3) returning id), numbered as (select id, row_number() over () as n from who)"
        " insert into public.support_tickets (org_id, category, status, subject, body, created_at, contact_id)"
        " select $1, 'technical', 'closed', $2, 'Case ' || n || ' of ' || extract(epoch from $4::timestamptz), $4, id from numbered",
        (org or world.acme).org_id, text or SUBJECTS[word], count, at,
    )  # fmt: skip


def by_word(found: topic.Topics) -> dict[str, topic.TopicFigures]:
    return {next(word for word in [*SUBJECTS, "ledger"] if word in each.topic.name): each for each in found.items}


async def test_topics_keep_their_numbers_and_say_what_changed(world, reader, globex):
    for word, before, now in (("export", 10, 60), ("password", 20, 20), ("seats", 9, 8)):
        await tickets(world, word, before, days_ago=40)
        await tickets(world, word, now, days_ago=2)
    await tickets(world, "export", 12, org=globex)
    made = await topic.compute(world.desk, world.acme.agent)
    assert (made.tickets, made.topics, made.begun) == (127, 3, 3)
    first = by_word(await topic.read_topics(world.desk, world.acme.agent))
    assert [first[word].tickets for word in SUBJECTS] == [70, 40, 17], "and none of another organization's"
    assert first["export"].verdict == "growing"
    assert first["export"].share.share == pytest.approx(60 / 88)
    assert (first["export"].change.now, first["export"].change.before) == (60, 10)
    assert sum(first["export"].weeks) == 70
    assert first["export"].weeks[-1] == 60
    assert all(len(each.examples) == topic.EXAMPLES and not each.topic.split_from for each in first.values())

    # a day later: another topic is there, one is gone, the others are who they were; only new tickets are read
    await world.owner.execute(
        "update public.support_tickets set is_spam = true where org_id = $1 and subject = $2",
        world.acme.org_id, SUBJECTS["seats"],
    )  # fmt: skip
    await tickets(world, "ledger", 11, text="The ledger shows a wrong balance")
    world.clock.move(days=1)
    read = reader.read
    await housekeeping.find_topics(world.desk)
    assert reader.read == read + 11 + 12, "Globex's for the first time"
    found = await topic.read_topics(world.desk, world.acme.agent)
    again = by_word(found)
    assert {word: each.topic.number for word, each in again.items()} == {
        "export": first["export"].topic.number,
        "password": first["password"].topic.number,
        "ledger": 4,
    }
    assert again["export"].topic.name == first["export"].topic.name
    (ended,) = found.ended
    assert (ended.number, ended.merged_into) == (first["seats"].topic.number, None)
    assert await world.one("select count(*) from asoe.facts where kind = 'topic.ended'") == 1
    await housekeeping.find_topics(world.desk)
    assert reader.read == read + 11 + 12, "once a day is enough"
    theirs = await topic.read_topics(world.desk, globex.agent)
    assert [each.tickets for each in theirs.items] == [12]


async def test_one_search_at_a_time_and_one_that_failed_is_over(world, reader):
    await tickets(world, "export", 6)
    reader.trouble = RuntimeError("the models are away")
    with pytest.raises(RuntimeError):
        await topic.compute(world.desk, world.acme.agent)
    reader.trouble = None
    await world.owner.execute("update asoe.topic_searches set begun_at = $1", world.clock.now)
    with pytest.raises(Conflict) as refused:
        await topic.compute(world.desk, world.acme.agent)
    assert refused.value.code == "topics_under_way"
    await housekeeping.find_topics(world.desk)
    assert reader.read == 0
    world.clock.move(hours=2)  # whoever was at it is gone
    assert (await topic.compute(world.desk, world.acme.agent)).topics == 1


async def test_what_a_client_wrote_goes_with_the_client(world, reader):
    await tickets(world, "export", 8)
    await topic.compute(world.desk, world.acme.agent)
    contact = await world.one("select contact_id from public.support_tickets order by number limit 1")
    await privacy.erase_contact(world.desk, world.acme.admin, contact)
    assert await world.one("select count(*) from asoe.topic_tickets") == 7
    assert (await topic.compute(world.desk, world.acme.agent)).tickets == 7
    for call in (topic.compute, topic.read_topics):
        with pytest.raises(Denied):
            await call(world.desk, world.acme.client)
