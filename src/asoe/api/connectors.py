"""Routes on connectors: add, change, disable, remove, check, and what they can do. Secrets go in and never come out."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field, SecretStr, StringConstraints, model_validator
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import page, reply
from asoe.api.schemas import Body
from asoe.desk import connector_settings
from asoe.domain.runbook import Risk

router = APIRouter(route_class=Door, tags=["connectors"])
_ALL: Final = "/api/support/connectors"
_ONE: Final = "/api/support/connectors/{name}"
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
_Reason = Annotated[str, StringConstraints(max_length=500)]


class ConnectorIn(Body):
    """docs/connectors.md explains `config` by kind, and which secrets each way of authentication takes."""

    name: _Name
    kind: Annotated[str, StringConstraints(max_length=63)]
    config: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, SecretStr] = Field(default_factory=dict)
    allow_private: bool = False


class ConnectorChange(Body):
    """`config` and `secrets` are merged key by key; null removes a key."""

    config: dict[str, Any] | None = None
    secrets: dict[str, SecretStr | None] | None = None
    allow_private: bool | None = None
    disabled: bool | None = None
    why: _Reason = ""

    @model_validator(mode="after")
    def _one_thing(self) -> ConnectorChange:
        changes = any(each is not None for each in (self.config, self.secrets, self.allow_private))
        if changes == (self.disabled is not None):
            raise ValueError("give either config, secrets or allow_private, or disabled (with why)")
        return self


class ConnectorOut(Answer):
    """An OpenAPI document in `config` is shown as its title, version and number of paths."""

    id: UUID
    name: str
    kind: str
    config: dict[str, Any]
    allow_private: bool
    has_secrets: bool
    disabled_at: datetime | None
    disabled_why: str | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class ConnectorPage(Answer):
    items: list[ConnectorOut]
    next_cursor: str | None


class ChangedOut(Answer):
    """A tool or skill that is not as it was reviewed; `now` null: gone. Its words are its maker's. `digest` is what `review` takes."""

    name: str
    was: dict[str, Any]
    now: dict[str, Any] | None
    digest: str


class ConnectorHealthOut(Answer):
    is_up: bool
    detail: str
    latency_ms: float | None
    changed: list[ChangedOut]


class ActionOut(Answer):
    """`is_hearsay`: what it answers is an outside agent's word, which proves nothing."""

    name: str
    risk: Risk
    description: str
    arguments: dict[str, Any]
    repeats: str
    has_probe: bool
    undo: str | None
    amount: str | None
    is_hearsay: bool


class ActionsOut(Answer):
    """`unclassified`: what cannot be used, each with the reason."""

    items: list[ActionOut]
    unclassified: dict[str, str]


@router.get(_ALL, response_model=ConnectorPage)
async def list_connectors(request: Request) -> Response:
    """By name, the disabled ones too."""
    call = call_of(request)
    found = await connector_settings.list_connectors(call.desk, call.principal)
    return reply(page([connector_settings.shown(each) for each in found], None))


@router.post(_ALL, status_code=201, response_model=ConnectorOut)
async def add_connector(request: Request, body: ConnectorIn) -> Response:
    """Its configuration is checked whole; what its kind must know of the system is asked for now."""
    call = call_of(request)
    added = await connector_settings.add_connector(
        call.acting,
        call.principal,
        name=body.name,
        kind=body.kind,
        config=body.config,
        secrets={name: secret.get_secret_value() for name, secret in body.secrets.items()},
        allow_private=body.allow_private,
        may_be_private=call.gate.settings.connector_private,
    )
    return reply(connector_settings.shown(added), 201)


@router.get(_ONE, response_model=ConnectorOut)
async def get_connector(request: Request, name: str) -> Response:
    call = call_of(request)
    return reply(connector_settings.shown(await connector_settings.read_connector(call.desk, call.principal, name)))


@router.patch(_ONE, response_model=ConnectorOut)
async def change_connector(request: Request, name: str, body: ConnectorChange) -> Response:
    """Merge configuration and secrets, or disable and enable: a disabled connector is not called any more."""
    call = call_of(request)
    if body.disabled is not None:
        if body.disabled:
            changed = await connector_settings.disable_connector(call.desk, call.principal, name, why=body.why)
        else:
            changed = await connector_settings.enable_connector(call.desk, call.principal, name)
        return reply(connector_settings.shown(changed))
    secrets = None
    if body.secrets is not None:
        secrets = {name: None if one is None else one.get_secret_value() for name, one in body.secrets.items()}
    changed = await connector_settings.change_connector(
        call.desk,
        call.principal,
        name,
        config=body.config,
        secrets=secrets,
        allow_private=body.allow_private,
        may_be_private=call.gate.settings.connector_private,
    )
    return reply(connector_settings.shown(changed))


@router.delete(_ONE, status_code=204, response_class=Response)
async def remove_connector(request: Request, name: str) -> Response:
    """With its secrets, for good."""
    call = call_of(request)
    await connector_settings.remove_connector(call.desk, call.principal, name)
    return Response(status_code=204)


@router.post(_ONE + "/check", response_model=ConnectorHealthOut)
async def check_connector(request: Request, name: str) -> Response:
    """Ask the system whether it answers and lets us in; nothing is changed there. Made anew each time."""
    call = call_of(request)
    return reply(asdict(await connector_settings.check_connector(call.desk, call.principal, name)))


@router.get(_ONE + "/actions", response_model=ActionsOut)
async def list_actions(request: Request, name: str) -> Response:
    """What runbooks may call."""
    call = call_of(request)
    offered = await connector_settings.read_actions(call.desk, call.principal, name)
    return reply({"items": [asdict(each) for each in offered.actions.values()], "unclassified": offered.unclassified})
