"""Routes on webhooks and deliveries: who is sent what happened, how it went, and sending it again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, SecretStr, model_validator
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import page, reply
from asoe.api.schemas import Body, Moment, Short
from asoe.desk import delivery, webhook
from asoe.desk.webhook import NewWebhook
from asoe.domain.notification import Delivery
from asoe.store.webhooks import Webhook

router = APIRouter(route_class=Door, tags=["webhooks"])
_ALL: Final = "/api/webhooks"
_ONE: Final = "/api/webhooks/{webhook_id}"
_Events = Annotated[list[Short], Field(min_length=1, max_length=200)]
_Status = Literal["pending", "sending", "delivered", "dead"]


class WebhookIn(Body):
    """docs/notifications.md explains events and signatures. The address is kept as a secret."""

    name: Short
    url: SecretStr
    events: _Events
    kind: Literal["signed", "slack"] = "signed"
    allow_private: bool = False


class WebhookChange(Body):
    """Either what it is, or whether it is disabled (with why). A new url, or `rotate_secret`, makes a new secret."""

    url: SecretStr | None = None
    events: _Events | None = None
    allow_private: bool | None = None
    rotate_secret: bool = False
    disabled: bool | None = None
    why: Annotated[str, Field(max_length=500)] = ""

    @model_validator(mode="after")
    def _one_thing(self) -> WebhookChange:
        changes = self.rotate_secret or any(each is not None for each in (self.url, self.events, self.allow_private))
        if changes == (self.disabled is not None):
            raise ValueError("give either url, events, allow_private or rotate_secret, or disabled (with why)")
        return self


class WebhookOut(Answer):
    """`place`: its address as far as it may be seen. `secret` is there once, when it was made."""

    id: UUID
    kind: str
    name: str
    place: str
    events: list[str]
    allow_private: bool
    disabled_at: datetime | None
    disabled_why: str | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime
    secret: str | None


class WebhookPage(Answer):
    items: list[WebhookOut]
    next_cursor: str | None


class DeliveryOut(Answer):
    """`recipient`: person, contact or webhook, with its id. `trouble`: what the last try met."""

    id: UUID
    fact_id: int
    kind: str
    happened_at: datetime
    ticket_id: UUID | None
    channel: str
    recipient: str
    status: str
    attempts: int
    due_at: datetime
    trouble: str | None
    created_at: datetime
    delivered_at: datetime | None


class DeliveryPage(Answer):
    items: list[DeliveryOut]
    next_cursor: str | None


class ReplayOut(Answer):
    replayed: int


@router.get(_ALL, response_model=WebhookPage)
async def list_webhooks(request: Request) -> Response:
    call = call_of(request)
    return reply(page([shown(each) for each in await webhook.list_webhooks(call.desk, call.principal)], None))


@router.post(_ALL, status_code=201, response_model=WebhookOut)
async def add_webhook(request: Request, body: WebhookIn) -> Response:
    """The secret is in this response only; a repeated call gets null in its place."""
    call = call_of(request)
    made = await webhook.add_webhook(
        call.desk,
        call.principal,
        name=body.name,
        url=body.url.get_secret_value(),
        events=body.events,
        kind=body.kind,
        allow_private=body.allow_private,
        may_be_private=call.gate.settings.connector_private,
        remember=call.remember(_without_secret),
    )
    return reply(shown(made.webhook, made.secret), 201)


@router.get(_ONE, response_model=WebhookOut)
async def get_webhook(request: Request, webhook_id: UUID) -> Response:
    call = call_of(request)
    return reply(shown(await webhook.read_webhook(call.desk, call.principal, webhook_id)))


@router.patch(_ONE, response_model=WebhookOut)
async def change_webhook(request: Request, webhook_id: UUID, body: WebhookChange) -> Response:
    """Change it, or disable and enable it: nothing is sent to a disabled one."""
    call = call_of(request)
    if body.disabled is not None:
        why = body.why if body.disabled else None
        return reply(shown(await webhook.set_disabled(call.desk, call.principal, webhook_id, why=why)))
    made = await webhook.change_webhook(
        call.desk,
        call.principal,
        webhook_id,
        url=None if body.url is None else body.url.get_secret_value(),
        events=body.events,
        allow_private=body.allow_private,
        may_be_private=call.gate.settings.connector_private,
        rotates=body.rotate_secret,
    )
    return reply(shown(made.webhook, made.secret))


@router.delete(_ONE, status_code=204, response_class=Response)
async def remove_webhook(request: Request, webhook_id: UUID) -> Response:
    call = call_of(request)
    await webhook.remove_webhook(call.desk, call.principal, webhook_id)
    return Response(status_code=204)


@router.post(_ONE + "/test", status_code=202, response_class=Response)
async def send_test(request: Request, webhook_id: UUID) -> Response:
    """Send it the fact `webhook.tested`; how it went is in the deliveries."""
    call = call_of(request)
    await webhook.send_test(call.acting, call.principal, webhook_id)
    return Response(status_code=202)


@router.get("/api/deliveries", tags=["deliveries"], response_model=DeliveryPage)
async def list_deliveries(
    request: Request,
    *,
    status: _Status | None = None,
    channel: Literal["email", "webhook", "in_app"] | None = None,
    recipient: Annotated[str | None, Query(max_length=60)] = None,
    cursor: Moment | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Response:
    """What was sent, is still tried, or was given up (`dead`); newest first."""
    call = call_of(request)
    found = await delivery.list_deliveries(
        call.desk, call.principal, status=status, channel=channel, recipient=recipient, before=cursor, limit=limit
    )
    last = found[-1].created_at if len(found) == limit else None
    return reply(page([delivery_shown(each) for each in found], last.isoformat() if last else None))


@router.post("/api/deliveries/{delivery_id}/replay", tags=["deliveries"], response_model=ReplayOut)
async def replay(request: Request, delivery_id: UUID) -> Response:
    """Send a dead or delivered one again, under the id it had."""
    call = call_of(request)
    return reply({"replayed": await delivery.replay(call.acting, call.principal, delivery_id)})


@router.post("/api/deliveries/replay", tags=["deliveries"], response_model=ReplayOut)
async def replay_dead(request: Request) -> Response:
    """Send all dead ones again."""
    call = call_of(request)
    return reply({"replayed": await delivery.replay(call.acting, call.principal)})


def shown(found: Webhook, secret: str | None = None) -> dict[str, Any]:
    names = [name for name in WebhookOut.model_fields if name != "secret"]
    return {**{name: getattr(found, name) for name in names}, "secret": secret}


def delivery_shown(found: Delivery) -> dict[str, Any]:
    return {name: getattr(found, name) for name in DeliveryOut.model_fields}


def _without_secret(made: NewWebhook) -> dict[str, Any]:
    return shown(made.webhook)
