"""A client that nobody here wrote, pydantic-ai's MCP toolset, lets an agent open a ticket and read what became of it."""

from __future__ import annotations

import warnings
from typing import Any
from uuid import UUID

from asoe.app import App
from asoe.desk import journey, people

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pydantic_ai import Agent
    from pydantic_ai.mcp import MCPToolset
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
    from pydantic_ai.models.function import FunctionModel


async def test_pydantic_ai_opens_waits_and_reads(served: str, app: App, acme: Any):
    token = (await people.create_key(app.desk, acme.owner, name="pydantic-ai", role="agent")).token
    seen: list[dict[str, Any]] = []

    async def model(messages: list[Any], _: Any) -> ModelResponse:
        """Does what a model would: open, wait, read, and then say so."""
        returned = [part for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]
        seen[:] = [part.content for part in returned]
        if not seen:
            return ModelResponse(parts=[ToolCallPart("open_ticket", {"body": "Where is the invoice of May?"})])
        if len(seen) == 1:
            await journey.carry_on(app.desk, acme.org_id, UUID(seen[0]["ticket"]["id"]))
        steps = ["wait_for_ticket", "read_ticket"]
        if len(seen) <= len(steps):
            return ModelResponse(
                parts=[ToolCallPart(steps[len(seen) - 1], {"ticket": str(seen[0]["ticket"]["number"])})]
            )
        return ModelResponse(parts=[TextPart("A person has it.")])

    toolset = MCPToolset(f"{served}/mcp", headers={"Authorization": f"Bearer {token}"})
    agent = Agent(FunctionModel(model), toolsets=[toolset])
    async with agent:
        result = await agent.run("Ask for the invoice of May.")
    assert result.output == "A person has it."
    assert [each["ticket"]["status"] for each in seen] == ["open", "escalated", "escalated"]
    assert seen[2]["untrusted"]["body"] == "Where is the invoice of May?"
