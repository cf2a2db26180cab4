"""Routes on the organization's mailbox, and the door for mails that are handed in. Passwords go in and never come out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field, SecretStr
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.connectors import ConnectorHealthOut
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body, Email, Short
from asoe.desk import mail_intake, mailbox

router = APIRouter(route_class=Door, tags=["mailbox"])
_PATH: Final = "/api/mailbox"
_Host = Annotated[str, Field(min_length=1, max_length=253)]


class ServerIn(Body):
    """`port`: by default that of the protocol. A password left out stays as it was, unless the server is another one."""

    host: _Host
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    tls: Literal["tls", "starttls", "none"] = "tls"
    user: Annotated[str, Field(max_length=320)] = ""
    password: SecretStr | None = None


class MailboxIn(Body):
    """docs/mail.md explains it."""

    address: Email
    name: Short = ""
    smtp: ServerIn | None = None
    imap: ServerIn | None = None
    authority: Annotated[str, Field(max_length=253)] = ""
    plus_addresses: bool = False
    allow_private: bool = False


class ServerOut(Answer):
    host: str
    port: int
    tls: str
    user: str


class MailboxOut(Answer):
    address: str
    name: str
    smtp: ServerOut | None
    imap: ServerOut | None
    authority: str
    plus_addresses: bool
    fetched_at: datetime | None
    fetch_trouble: str | None
    allow_private: bool
    has_passwords: bool
    updated_at: datetime


class MailboxHealthOut(Answer):
    is_up: bool
    servers: dict[str, ConnectorHealthOut]


class ReceivedOut(Answer):
    """`outcome`: opened, added, duplicate, or why nobody answers it: auto_reply, bounce, list, loop, refused."""

    outcome: str
    ticket_id: UUID | None
    reason: str | None


@router.get(_PATH, response_model=MailboxOut)
async def get_mailbox(request: Request) -> Response:
    call = call_of(request)
    return reply(mailbox.shown(await mailbox.read_mailbox(call.desk, call.principal)))


@router.patch(_PATH, response_model=MailboxOut)
async def set_mailbox(request: Request, body: MailboxIn) -> Response:
    """Sets it whole: a server left out is not used any more."""
    call = call_of(request)
    servers: dict[str, dict[str, Any]] = {}
    passwords: dict[str, str | None] = {}
    for name, server in (("smtp", body.smtp), ("imap", body.imap)):
        if server is None:
            continue
        servers[name] = server.model_dump(exclude={"password"})
        if server.password is not None:
            passwords[name] = server.password.get_secret_value()
    box = await mailbox.set_mailbox(
        call.desk,
        call.principal,
        address=body.address,
        name=body.name,
        servers=servers,
        passwords=passwords,
        authority=body.authority,
        uses_plus=body.plus_addresses,
        allow_private=body.allow_private,
        may_be_private=call.gate.settings.connector_private,
    )
    return reply(mailbox.shown(box))


@router.delete(_PATH, status_code=204, response_class=Response)
async def remove_mailbox(request: Request) -> Response:
    """With its passwords, for good."""
    call = call_of(request)
    await mailbox.remove_mailbox(call.desk, call.principal)
    return Response(status_code=204)


@router.post(_PATH + "/check", response_model=MailboxHealthOut)
async def check_mailbox(request: Request) -> Response:
    """Ask its servers whether they let us in; nothing is sent."""
    call = call_of(request)
    checked = await mailbox.check_mailbox(call.desk, call.principal)
    servers = {
        name: {"is_up": found.is_up, "detail": found.detail, "latency_ms": found.latency_ms}
        for name, found in checked.found.items()
    }
    return reply({"is_up": checked.is_up, "servers": servers})


@router.post(
    "/api/mail",
    response_model=ReceivedOut,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"message/rfc822": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def receive_mail(request: Request) -> Response:
    """Hand in one mail as it came (RFC 5322), at most 25 MB. The same mail again changes nothing."""
    call = call_of(request)
    received = await mail_intake.receive(call.desk, call.principal.org_id, await request.body())
    return reply({"outcome": received.outcome, "ticket_id": received.ticket_id, "reason": received.reason})
