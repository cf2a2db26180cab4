"""Routes that set the chat widget up: how it looks, whose pages show it, and the secret that signs its clients."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from asoe.api import answers
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import SecretIn, WidgetIn
from asoe.desk import widget
from asoe.domain.widget import Widget, shown

router = APIRouter(route_class=Door, tags=["widget"])


@router.get("/api/widget", response_model=answers.WidgetOut)
async def get_widget(request: Request) -> Response:
    """How the organization's widget is set. The secret is never shown again."""
    call = call_of(request)
    return reply(shown(await widget.read_widget(call.desk, call.principal)))


@router.patch("/api/widget", response_model=answers.WidgetOut)
async def change_widget(request: Request, body: WidgetIn) -> Response:
    """Change what is given. `origins` are those whose pages may hold the widget; greetings are by language."""
    call = call_of(request)
    changed = await widget.change_widget(call.desk, call.principal, widget.WidgetChange(**body.model_dump()))
    call.gate.fronts.forget(call.principal.org_id)
    return reply(shown(changed))


@router.post("/api/widget/secret", status_code=201, response_model=answers.WidgetSecretOut)
async def make_widget_secret(request: Request, body: SecretIn | None = None) -> Response:
    """A new secret to sign clients with, in this response only; the one before is good for a day more."""
    call = call_of(request)
    made = await widget.make_secret(
        call.desk,
        call.principal,
        ends_earlier=body.ends_earlier if body else False,
        remember=call.remember(_without_secret),
    )
    return reply({**shown(made.widget), "secret": made.secret}, 201)


def _without_secret(value: Widget) -> dict[str, Any]:
    return {**shown(value), "secret": None}
