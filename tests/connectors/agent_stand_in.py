"""An outside agent for tests: the official SDK's server with an executor that does what a test says, and a card that can change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from a2a.helpers.proto_helpers import new_task, new_text_message, new_text_part
from a2a.server.agent_execution.agent_executor import AgentExecutor
from a2a.server.request_handlers.default_request_handler_v2 import DefaultRequestHandlerV2
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict
from starlette.applications import Starlette
from tests.connectors.connector_cast import served

SKILLS = [
    {"id": "rebook", "name": "Rebook", "description": "Moves a booking to another day.", "tags": ["travel"]},
    {"id": "pay_back", "name": "Pay back", "description": "Pays money back.", "tags": ["money"]},
]


class Outsider(AgentExecutor):
    """`how`: completes, fails, rejects, asks, hangs, chatters (a word without end); `effect` is what it really does, if anything."""

    def __init__(self) -> None:
        self.how = "completes"
        self.says = "All done, trust me."
        self.effect: Callable[[dict[str, Any]], None] = lambda asked: None
        self.begun: list[pb.Message] = []
        self.cancelled: list[str] = []
        self.may_end = asyncio.Event()
        self.card: pb.AgentCard = pb.AgentCard()

    @property
    def message_ids(self) -> list[str]:
        return [each.message_id for each in self.begun]

    async def execute(self, context: Any, event_queue: Any) -> None:
        self.begun.append(context.message)
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        begun = new_task(context.task_id, context.context_id, pb.TASK_STATE_SUBMITTED, history=[context.message])
        await event_queue.enqueue_event(begun)
        self.effect(MessageToDict(context.message.parts[1].data))
        match self.how:
            case "completes":
                await updater.add_artifact([new_text_part(self.says)])
                await updater.complete()
            case "fails":
                await updater.failed(new_text_message(self.says))
            case "rejects":
                await updater.reject(new_text_message(self.says))
            case "asks":
                await updater.requires_input(new_text_message("What is the client's card number?"))
            case "hangs":
                await updater.start_work()
                await self.may_end.wait()
                await updater.complete(new_text_message(self.says))

    async def cancel(self, context: Any, event_queue: Any) -> None:
        self.cancelled.append(context.task_id)
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()

    def change_card(self, **changes: Any) -> None:
        told = {**MessageToDict(self.card), **changes}
        self.card.Clear()
        ParseDict(told, self.card)


@asynccontextmanager
async def outsider() -> AsyncIterator[tuple[Outsider, str]]:
    """The agent and its address."""
    logging.getLogger("a2a").setLevel(logging.CRITICAL)
    agent = Outsider()
    app = Starlette()
    async with served(app) as url:
        agent.change_card(
            name="Travel agent",
            description="Books and rebooks.",
            version="1.0.0",
            supportedInterfaces=[{"url": f"{url}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            defaultInputModes=["text/plain"],
            defaultOutputModes=["text/plain"],
            capabilities={"streaming": True},
            skills=SKILLS,
        )
        handler = DefaultRequestHandlerV2(agent, InMemoryTaskStore(), agent.card)
        app.routes.extend(create_agent_card_routes(agent.card))
        app.routes.extend(create_jsonrpc_routes(handler, "/rpc"))
        yield agent, url
        agent.may_end.set()
