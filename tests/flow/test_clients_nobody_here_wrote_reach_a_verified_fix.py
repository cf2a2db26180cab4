"""Clients that nobody here wrote: each opens a ticket, waits, sees a person approve, and reads a fix verified in the demo estate."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from a2a.client.client import ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.types import a2a_pb2 as pb
from agent_cast import speaking, use
from flow_cast import Connect
from google.protobuf.json_format import MessageToDict
from joserfc import jwt
from joserfc.jwk import OctKey

from asoe.ai.local import LocalAI
from asoe.app import App, open_connectors
from asoe.config import Settings
from asoe.demo.back_office import RUNBOOKS, add_estate
from asoe.demo.estate.breaking import break_it
from asoe.demo.estate.seed import add_customer
from asoe.demo.estate.seed import seed as seed_estate
from asoe.demo.estate.service import running
from asoe.demo.estate.store import Store, open_store
from asoe.desk import a2a_task as tasks
from asoe.desk import autonomy, journey, people
from asoe.desk.context import Thresholds
from asoe.desk.runbook import shelf
from asoe.store import facts

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pydantic_ai import Agent
    from pydantic_ai.mcp import MCPToolset
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
    from pydantic_ai.models.function import FunctionModel

SECRET = "a secret of the identity provider, long enough"
WORDS = "I am locked out of my account: my login is refused although the password is right."
WRITERS = (
    "ana.client@acme.example",
    "legacy@client.example",
    "auto@client.example",
    "pydantic@client.example",
    "inspector@client.example",
)
INSPECTOR = os.environ.get("ASOE_TEST_INSPECTOR", "")
"""The command line of `@modelcontextprotocol/inspector`, where there is one: nothing in `make test` fetches it, so it is no test there."""


@pytest.fixture(scope="module")
async def outside() -> AsyncIterator[tuple[Store, str]]:
    """The demo estate, in which each writer is locked out."""
    store = open_store()
    seed_estate(store, 1, customers=2)
    for index, email in enumerate(WRITERS):
        add_customer(store, "Ana Client", email, index=index)
        user = store.find("users", email=email)[0]
        break_it(store, "user_locked_out", user["account_id"], user_id=user["id"])
    async with running(store) as url:
        yield store, url
    store.close()


@pytest.fixture(scope="module")
async def models() -> AsyncIterator[LocalAI]:
    made = await LocalAI.load()
    yield made
    await made.close()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"jwt_secret": SECRET, "jwt_issuer": "house", "jwt_audience": "asoe"})


@pytest.fixture
async def app(app: App, acme: Any, outside: tuple[Store, str], models: LocalAI) -> AsyncIterator[App]:
    """With the real models, the estate as its outside system, and a runbook whose acts a person approves."""
    connectors = open_connectors(app.database, app.secret_key, app.desk.engine_of)
    thresholds = Thresholds(triage_budget=timedelta(seconds=30))
    desk = replace(app.desk, ai=models, thresholds=thresholds, connectors=connectors)
    await add_estate(desk, acme.owner, outside[1])
    row, _ = await shelf.save(desk, acme.owner, (RUNBOOKS / "sign-in.yaml").read_text("utf-8"))
    await shelf.publish(desk, acme.owner, row.name)
    await autonomy.set_level(desk, acme.owner, row.name, "approve")
    yield replace(app, desk=desk)
    await connectors.close()


@dataclass
class Desk:
    """What happens on our side while a client waits: the worker's part, and a person's."""

    app: App
    acme: Any
    store: Store
    connect: Connect

    async def work(self, ticket_id: str) -> None:
        for _ in range(3):
            await journey.carry_on(self.app.desk, self.acme.org_id, UUID(ticket_id))

    async def approve(self, ticket_id: str) -> None:
        """A person agrees to the one act that waits, which nothing has done before."""
        assert self.is_locked, "nothing is done before a person agrees"
        person = await self.connect(self.acme.owner, scopes=frozenset({"approvals:decide", "runbooks:read"}))
        (act,) = [
            each
            for each in (await person.get("/api/support/approvals", params={"ticket_id": ticket_id})).json()["items"]
            if each["status"] == "pending"
        ]
        assert act["action"] == "users_unlock"
        assert (await person.post(f"/api/support/approvals/{act['id']}/decide", json={"vote": "approve"})).is_success
        await self.work(ticket_id)

    email: str = ""

    @property
    def is_locked(self) -> bool:
        return bool(self.store.find("users", email=self.email)[0]["locked"])

    async def called(self) -> list[str]:
        async with self.app.desk.database.org_reading(self.acme.engine) as connection:
            found = await facts.read_after(connection, self.acme.org_id)
        return [fact.data["tool"] for fact in found if fact.kind == "agent.called" and fact.data["outcome"] == "done"]


@pytest.fixture
def desk(app: App, acme: Any, outside: tuple[Store, str], connect: Connect) -> Desk:
    return Desk(app, acme, outside[0], connect)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_client_of_the_mcp_sdk(served: str, desk: Desk, mode: str) -> None:
    desk.email = f"{mode}@client.example"
    key = await people.create_key(desk.app.desk, desk.acme.owner, name="sdk", role="agent")
    async with speaking(served, key.token, mode=mode) as mcp:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            return await use(mcp, tool, **arguments)

        await over_mcp(desk, call)


async def test_the_mcp_toolset_of_pydantic_ai(served: str, desk: Desk) -> None:
    desk.email = "pydantic@client.example"
    key = await people.create_key(desk.app.desk, desk.acme.owner, name="pydantic-ai", role="agent")
    plan = ["wait_for_ticket", "list_approvals", "wait_for_ticket", "read_ticket"]
    seen: list[dict[str, Any]] = []

    async def model(messages: list[Any], _: Any) -> ModelResponse:
        """Does what a model would: open, wait, see that a person is asked, wait, read; then it says so."""
        seen[:] = [part.content for each in messages for part in each.parts if isinstance(part, ToolReturnPart)]
        if not seen:
            asked = {"body": WORDS, "contact": {"email": desk.email}}
            return ModelResponse(parts=[ToolCallPart("open_ticket", asked)])
        if len(seen) == 1:
            await desk.work(seen[0]["ticket"]["id"])
        if len(seen) == 3:
            await desk.approve(seen[0]["ticket"]["id"])
        if len(seen) <= len(plan):
            return ModelResponse(
                parts=[ToolCallPart(plan[len(seen) - 1], {"ticket": str(seen[0]["ticket"]["number"])})]
            )
        return ModelResponse(parts=[TextPart("It is mended.")])

    toolset = MCPToolset(f"{served}/mcp", headers={"Authorization": f"Bearer {key.token}"})
    agent = Agent(FunctionModel(model), toolsets=[toolset])
    async with agent:
        assert (await agent.run("Ana cannot sign in.")).output == "It is mended."
    opened, waits, asked, ended, read = seen
    assert waits["ticket"]["waiting_for"] == "approval"
    assert [each["action"] for each in asked["approvals"]] == ["users_unlock"]
    assert (ended["ticket"]["status"], ended["ticket"]["resolution"]["verdict"]) == ("resolved", "verified")
    assert read["ticket"]["id"] == opened["ticket"]["id"]
    assert not desk.is_locked
    assert await desk.called() == ["open_ticket", *plan]


async def test_the_client_of_the_a2a_sdk(served: str, desk: Desk) -> None:
    """It acts for a person of the organization, with her token: what she may, and for her own account."""
    desk.email = "ana.client@acme.example"
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token(desk.acme.client)}"}, timeout=40) as carrier:
        client = await ClientFactory(ClientConfig(streaming=False, httpx_client=carrier)).create_from_url(served)
        message = pb.Message(message_id=str(uuid4()), role=pb.ROLE_USER, parts=[pb.Part(text=WORDS)])
        wanted = pb.SendMessageConfiguration(return_immediately=True)
        (event,) = [
            each async for each in client.send_message(pb.SendMessageRequest(message=message, configuration=wanted))
        ]
        asked = pb.GetTaskRequest(id=event.task.id)
        assert pb.TaskState.Name(event.task.status.state) == tasks.SUBMITTED
        await desk.work(event.task.id)
        assert pb.TaskState.Name((await client.get_task(asked)).status.state) == tasks.AUTH_REQUIRED
        await desk.approve(event.task.id)
        ended = await client.get_task(asked)
    assert pb.TaskState.Name(ended.status.state) == tasks.COMPLETED
    assert "verified" in json.dumps(MessageToDict(ended.artifacts[0]))
    assert not desk.is_locked
    assert "open_ticket" in await desk.called()


async def by_the_command_line_of_the_mcp_inspector(served: str, desk: Desk) -> None:
    desk.email = "inspector@client.example"
    key = await people.create_key(desk.app.desk, desk.acme.owner, name="inspector", role="agent")
    node = shutil.which("node", path=f"{Path(INSPECTOR).parent}{os.pathsep}{os.environ['PATH']}")
    assert node

    async def call(tool: str, **arguments: Any) -> dict[str, Any]:
        given = [part for name, value in arguments.items() for part in ("--tool-arg", f"{name}={_written(value)}")]
        process = await asyncio.create_subprocess_exec(
            *(node, INSPECTOR, "--cli", f"{served}/mcp", "--transport", "http"),
            *("--header", f"Authorization: Bearer {key.token}", "--method", "tools/call", "--tool-name", tool, *given),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return dict(json.loads(out)["structuredContent"])

    await over_mcp(desk, call)


if INSPECTOR:
    test_the_command_line_of_the_mcp_inspector = by_the_command_line_of_the_mcp_inspector


async def over_mcp(desk: Desk, call: Callable[..., Awaitable[dict[str, Any]]]) -> None:
    """Open → wait → a person approves → verified, by the tools of the MCP server."""
    opened = (await call("open_ticket", body=WORDS, contact={"email": desk.email}))["ticket"]
    number = str(opened["number"])
    await desk.work(opened["id"])
    assert (await call("wait_for_ticket", ticket=number))["ticket"]["waiting_for"] == "approval"
    assert [each["action"] for each in (await call("list_approvals", ticket=number))["approvals"]] == ["users_unlock"]
    await desk.approve(opened["id"])
    ended = (await call("wait_for_ticket", ticket=number))["ticket"]
    assert (ended["status"], ended["resolution"]["verdict"]) == ("resolved", "verified")
    assert not desk.is_locked
    assert await desk.called() == ["open_ticket", "wait_for_ticket", "list_approvals", "wait_for_ticket"]


def token(principal: Any) -> str:
    """As an identity provider would sign it."""
    now = int(time.time())
    who = {"sub": str(principal.user_id), "org_id": str(principal.org_id), "iss": "house", "aud": "asoe"}
    claims = {**who, "iat": now, "exp": now + 600}
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, OctKey.import_key(SECRET))


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
