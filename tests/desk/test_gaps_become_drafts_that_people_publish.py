"""Questions no article answered are grouped by what they ask; a person's answer becomes a draft, never a published article."""

from __future__ import annotations

import re

import numpy as np
import pytest

from asoe.desk import gap, session
from asoe.domain.errors import Conflict, Denied, Missing


@pytest.fixture(autouse=True)
def vectors(world, monkeypatch):
    """Texts point where "about…" says."""

    async def embed(texts):
        found = np.zeros((len(texts), 384), np.float32)
        for row, text in enumerate(texts):
            named = re.search(r"about(\w+)", text)
            found[row, sum(map(ord, named[1])) % 384 if named else 0] = 1
        return found

    monkeypatch.setattr(world.ai, "embed", embed)
    world.passages.clear()


async def asked(world, words, email):
    made = await world.open_by_contact(words, email=email)
    await world.drain()
    assert (await world.now(made)).status == "escalated"
    return made


async def test_gaps_are_grouped_and_answers_become_drafts(world, globex):
    desk, acme = world.desk, world.acme
    world.clock.move(days=30)
    first = await asked(world, "How do I export aboutexport, I am kim@example.org", "kim@example.org")
    await asked(world, "Export please, aboutexport", "lee@example.org")
    await asked(world, "Print aboutprinting", "kim@example.org")
    found = await gap.find_gaps(desk, acme.agent)
    assert [(each.clients, each.tickets) for each in found] == [(2, 2), (1, 1)]
    assert "kim@example.org" not in str(found)
    with pytest.raises(Conflict) as refused:
        await gap.draft_article(desk, acme.agent, first.id)
    assert refused.value.code == "no_person_answered"
    await session.add_message(desk, acme.agent, first.session_id, "agent", "Go to Settings, then Export.")
    await session.add_message(desk, acme.agent, first.session_id, "agent", "She is difficult.", is_internal=True)
    made = await gap.draft_article(desk, acme.agent, first.id)
    assert (made.status, made.published_version, made.text.body) == ("draft", None, "Go to Settings, then Export.")
    assert made.text.tags == (gap.TAG,)
    with pytest.raises(Conflict):
        await gap.draft_article(desk, acme.agent, first.id)
    assert (await gap.find_gaps(desk, acme.agent))[0].examples[-1].is_answered
    assert await gap.find_gaps(desk, globex.agent) == []
    with pytest.raises(Missing):
        await gap.draft_article(desk, globex.agent, first.id)
    with pytest.raises(Denied):
        await gap.find_gaps(desk, acme.client)
