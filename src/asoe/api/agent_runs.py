"""Routes on what the engine's agents did: one pass whole, and the same pass judged again with something else."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer, InvocationOut, RunOut
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body, JsonObject
from asoe.desk import ticket
from asoe.desk.journey.replay import LONGEST_PROMPT, MOST_VERSIONS, Instead, replay

router = APIRouter(route_class=Door, tags=["agents"])
_ONE: Final = "/api/support/agent-runs/{agent_run_id}"


class CostlyInvocationOut(InvocationOut):
    cost_usd: float


class AgentRunOut(RunOut):
    """`basis`: what the pass went by, in ids, classes and positions; empty where it cannot be replayed."""

    ticket_id: UUID | None
    basis: dict[str, Any]
    invocations: list[CostlyInvocationOut]  # type: ignore[assignment]


class InsteadIn(Body):
    """What judges in the place of what judges today; what is left out stays."""

    model: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        None, description="A version of your own models; 0: the shared model alone."
    )
    settings: JsonObject | None = Field(None, description="Settings over your own that a judgement goes by.")
    language_model: Annotated[str, Field(min_length=3, max_length=200)] | None = Field(
        None, description="Another model of the configured provider, as PROVIDER:MODEL."
    )
    prompts: dict[str, Annotated[str, Field(min_length=1, max_length=LONGEST_PROMPT)]] = Field(
        default_factory=dict, max_length=8, description="Other instructions by use; `{task}` in them stands for ours."
    )
    runbooks: dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[int, Field(ge=1, le=2**31 - 1)]] = (
        Field(
            default_factory=dict,
            max_length=MOST_VERSIONS,
            description="Versions of runbooks, by name, in the place of those in use.",
        )
    )
    consult: bool = Field(False, description="Ask the language model, too; it costs what it always does.")


class JudgedOut(Answer):
    category: str | None
    severity: str | None
    intent: str | None
    decision: str
    runbook: str | None
    run: str
    incident: int | None
    reasons: list[str]
    team: str | None
    articles: list[str]
    answer: str
    consulted: list[str]


class DifferenceOut(Answer):
    what: str
    before: Any
    after: Any


class AgentReplayOut(Answer):
    """`since`: from then to today; `differences`: from today to what was tried, by that alone."""

    run_id: UUID
    ticket_id: UUID
    was: JudgedOut
    today: JudgedOut
    instead: JudgedOut | None
    since: list[DifferenceOut]
    differences: list[DifferenceOut]


@router.get(_ONE, response_model=AgentRunOut)
async def get_agent_run(request: Request, agent_run_id: UUID) -> Response:
    """One pass with its agent invocations, and what it went by."""
    call = call_of(request)
    found = await ticket.run(call.desk, call.principal, agent_run_id)
    return reply({name: value for name, value in found.items() if name in AgentRunOut.model_fields})


@router.post(_ONE + "/replay", response_model=AgentReplayOut)
async def replay_agent_run(request: Request, agent_run_id: UUID, body: InsteadIn) -> Response:
    """Judge the pass again with something else, without any effect, and tell what would be different."""
    call = call_of(request)
    instead = Instead(
        model=body.model,
        settings=body.settings,
        language_model=body.language_model,
        prompts=body.prompts,
        is_consulted=body.consult,
        versions=body.runbooks,
    )
    return reply((await replay(call.desk, call.principal, agent_run_id, instead)).to_json())
