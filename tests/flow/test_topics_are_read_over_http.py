"""Topics through the doors: JSON of the promised shape and a page, for staff of the organization only; hostile words stay words."""

from __future__ import annotations

import httpx
from flow_cast import Connect, open_ticket, problem
from pydantic import TypeAdapter

from asoe.api import topics as shapes
from asoe.app import App
from asoe.desk import housekeeping, topic

TOPICS = "/api/support/topics"
HOSTILE = "<script>alert(1)</script> breaks exports"


async def test_topics_are_read_as_they_were_found(
    app: App, agent: httpx.AsyncClient, client: httpx.AsyncClient, connect: Connect, acme: object, globex: object
) -> None:
    none = (await agent.get(TOPICS)).json()
    assert (none["made_at"], none["items"], none["ended"]) == (None, [], [])
    for number in range(5):
        await open_ticket(
            agent, subject=HOSTILE, body="Mail me: kim@example.org", contact={"email": f"k{number}@x.example"}
        )
    await housekeeping.keep_counters(app.desk)
    await topic.compute(app.desk, acme.agent)  # type: ignore[attr-defined]
    answer = await agent.get(TOPICS)
    TypeAdapter(shapes.TopicsOut).validate_json(answer.content)
    (found,) = answer.json()["items"]
    assert (found["number"], found["tickets"], found["share"]["hits"], found["weeks"][-1]) == (1, 5, 5, 5)
    assert found["figures"]["tickets"] == 5
    assert found["change"]["verdict"] == "steady", "nobody wrote before about anything"
    assert len(found["examples"]) == 5
    assert "kim" not in found["name"]
    problem(await client.get(TOPICS), 403, "role_not_permitted")
    stranger = await connect(globex.owner)  # type: ignore[attr-defined]
    assert (await stranger.get(TOPICS)).json() == none
