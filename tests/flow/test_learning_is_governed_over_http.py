"""Learning through the HTTP door: staff see corrections and models, admins train and roll back, clients see nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from flow_cast import Connect, open_ticket, problem
from pydantic import TypeAdapter

from asoe.api import certificates
from asoe.api import learning as shapes
from asoe.app import App
from asoe.desk import people
from cast import make_answer

if TYPE_CHECKING:
    from tests.conftest import Org

LEARNING = "/api/learning"


async def test_corrections_models_training_and_roll_back(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, client: httpx.AsyncClient, connect: Connect, globex: object
) -> None:
    made = await open_ticket(agent, contact={"email": "ana@client.example"})
    path = f"/api/support/ticket/{made['id']}"
    other = "billing" if made["category"] != "billing" else "general"
    assert (await agent.patch(path, json={"category": other})).status_code == 200
    page = TypeAdapter(shapes.CorrectionPage).validate_json((await agent.get(f"{LEARNING}/corrections")).content)
    assert [(each.field, each.before, each.corrected) for each in page.items] == [("category", made["category"], other)]
    problem(await agent.post(f"{path}/answer-judgement", json={"is_useful": True}), 409, "no_answer_given")
    begun = await owner.post(f"{LEARNING}/train")
    assert begun.status_code == 202
    assert TypeAdapter(shapes.ModelOut).validate_json(begun.content).state == "training"
    assert (await owner.post(f"{LEARNING}/train")).json()["version"] == 1
    models = TypeAdapter(shapes.ModelPage).validate_json((await agent.get(f"{LEARNING}/models")).content)
    assert [each.version for each in models.items] == [1]
    problem(await owner.post(f"{LEARNING}/roll-back"), 409, "no_champion")
    problem(await agent.post(f"{LEARNING}/train"), 403, "role_not_permitted")
    for each in ("corrections", "models", "models/1"):
        problem(await client.get(f"{LEARNING}/{each}"), 403, "role_not_permitted")
    stranger = await connect(globex.owner)  # type: ignore[attr-defined]
    problem(await stranger.get(f"{LEARNING}/models/1"), 404, "model_missing")
    assert (await stranger.get(f"{LEARNING}/corrections")).json()["items"] == []


async def test_certificates_and_the_blind_sample(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, client: httpx.AsyncClient, app: App, acme: Org
) -> None:
    made = await open_ticket(agent, contact={"email": "ana@client.example"})
    await make_answer(app.database, acme.engine, UUID(made["id"]))
    await people.change_organization(app.desk, acme.owner, settings={"audit_share": 1})
    (unseen,) = (await agent.get("/api/support/audit-sample")).json()["answers"]
    assert set(unseen) == {"id", "subject", "question", "answer", "articles", "at"}
    path = f"/api/support/answers/{unseen['id']}/audit"
    assert (await agent.post(path, json={"is_right": True})).status_code == 204
    problem(await agent.post(path, json={"is_right": False}), 409, "already_judged")
    found = await owner.post("/api/support/certificates/renew")
    page = TypeAdapter(certificates.CertificatePage).validate_json(found.content)
    assert (page.alone, page.items[0].state, page.items[0].audited) == ("lent", "not_enough_evidence", 1)
    assert (await agent.get("/api/support/certificates")).json() == found.json()
    problem(await agent.post("/api/support/certificates/renew"), 403, "role_not_permitted")
    problem(await client.get("/api/support/certificates"), 403, "role_not_permitted")
