"""Routes on the organization: its settings and own fields, members, invitations, keys, contacts, and who the caller is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from asoe.api import answers, encoding
from asoe.api.door import Call, Door, call_of, gate_of
from asoe.api.encoding import page, reply
from asoe.api.schemas import (
    AcceptIn,
    FieldChange,
    FieldIn,
    InvitationIn,
    KeyIn,
    MemberChange,
    MemberIn,
    MemberRole,
    OrganizationChange,
)
from asoe.desk import custom_field, people, privacy
from asoe.domain.errors import Invalid
from asoe.domain.people import ApiKey, Contact, Invitation, Member
from asoe.domain.policy import read_policy
from asoe.store.fields import FieldDefinition

router = APIRouter(route_class=Door)
_Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("/api/whoami", tags=["organization"], response_model=answers.PrincipalOut)
async def whoami(request: Request) -> Response:
    """The account, organization, role and scopes this call was made with."""
    return reply(encoding.principal(call_of(request).principal))


@router.get("/api/organization", tags=["organization"], response_model=answers.OrganizationOut)
async def get_organization(request: Request) -> Response:
    call = call_of(request)
    return reply(encoding.organization(await people.read_organization(call.desk, call.principal)))


@router.patch("/api/organization", tags=["organization"], response_model=answers.OrganizationOut)
async def change_organization(request: Request, body: OrganizationChange) -> Response:
    """Rename, or merge settings key by key (null removes a key)."""
    call = call_of(request)
    if body.settings:
        await _check_settings(call, body.settings)
    changed = await people.change_organization(call.desk, call.principal, name=body.name, settings=body.settings)
    return reply(encoding.organization(changed))


# --- own ticket fields ---


@router.get("/api/support/fields", tags=["custom fields"], response_model=answers.CustomFieldPage)
async def list_fields(request: Request) -> Response:
    call = call_of(request)
    found = await custom_field.list_fields(call.desk, call.principal)
    return reply(page([encoding.custom_field(each) for each in found], None))


@router.post("/api/support/fields", tags=["custom fields"], status_code=201, response_model=answers.CustomFieldOut)
async def define_field(request: Request, body: FieldIn) -> Response:
    """A typed field of this organization's tickets."""
    call = call_of(request)
    field = FieldDefinition(body.name, body.type, tuple(body.choices), body.is_required)
    return reply(encoding.custom_field(await custom_field.define_field(call.acting, call.principal, field)), 201)


@router.patch("/api/support/fields/{name}", tags=["custom fields"], response_model=answers.CustomFieldOut)
async def change_field(request: Request, name: str, body: FieldChange) -> Response:
    """The type stays: values of it exist."""
    call = call_of(request)
    choices = None if body.choices is None else tuple(body.choices)
    changed = await custom_field.change_field(
        call.desk, call.principal, name, choices=choices, is_required=body.is_required
    )
    return reply(encoding.custom_field(changed))


@router.delete("/api/support/fields/{name}", tags=["custom fields"], status_code=204, response_class=Response)
async def remove_field(request: Request, name: str) -> Response:
    """Values already on tickets stay readable."""
    call = call_of(request)
    await custom_field.remove_field(call.desk, call.principal, name)
    return Response(status_code=204)


# --- members ---


@router.get("/api/members", tags=["members"], response_model=answers.MemberPage)
async def list_members(
    request: Request, role: MemberRole | None = None, cursor: UUID | None = None, limit: _Limit = 100
) -> Response:
    call = call_of(request)
    found = await people.list_members(call.desk, call.principal, role=role, after=cursor, limit=limit)
    return reply(page([encoding.member(each) for each in found], found[-1].user_id if len(found) == limit else None))


@router.post("/api/members", tags=["members"], status_code=201, response_model=answers.MemberOut)
async def add_member(request: Request, body: MemberIn) -> Response:
    """Add a person at once, without an invitation."""
    call = call_of(request)
    member = await people.add_member(
        call.desk,
        call.principal,
        email=body.email,
        name=body.name,
        role=body.role,
        remember=call.remember(encoding.member),
    )
    return reply(encoding.member(member), 201)


@router.get("/api/members/{user_id}", tags=["members"], response_model=answers.MemberOut)
async def get_member(request: Request, user_id: UUID) -> Response:
    call = call_of(request)
    return reply(encoding.member(await people.read_member(call.desk, call.principal, user_id)))


@router.patch("/api/members/{user_id}", tags=["members"], response_model=answers.MemberOut)
async def change_member(request: Request, user_id: UUID, body: MemberChange) -> Response:
    """Another role, or shut out or let in again."""
    call = call_of(request)
    member: Member | None = None
    if body.role is not None:
        member = await people.change_role(call.desk, call.principal, user_id, body.role)
    if body.disabled is not None:
        change = people.disable_member if body.disabled else people.enable_member
        member = await change(call.desk, call.principal, user_id)
    assert member is not None
    return reply(encoding.member(member))


# --- invitations ---


@router.get("/api/invitations", tags=["members"], response_model=answers.InvitationPage)
async def list_invitations(request: Request, *, with_ended: Annotated[bool, Query()] = False) -> Response:
    call = call_of(request)
    found = await people.list_invitations(call.desk, call.principal, with_ended=with_ended)
    return reply(page([encoding.invitation(each) for each in found], None))


@router.post("/api/invitations", tags=["members"], status_code=201, response_model=answers.NewInvitationOut)
async def invite(request: Request, body: InvitationIn) -> Response:
    """Offer a role to an address. The token is in this response only; a repeated call gets null in its place."""
    call = call_of(request)
    made = await people.invite(
        call.desk,
        call.principal,
        email=body.email,
        role=body.role,
        days=body.days,
        remember=call.remember(_invitation_without_token),
    )
    return reply({**encoding.invitation(made.invitation), "token": made.token}, 201)


@router.delete("/api/invitations/{invitation_id}", tags=["members"], response_model=answers.InvitationOut)
async def withdraw_invitation(request: Request, invitation_id: UUID) -> Response:
    call = call_of(request)
    return reply(encoding.invitation(await people.revoke_invitation(call.desk, call.principal, invitation_id)))


@router.post("/api/invitations/accept", tags=["members"], status_code=201, response_model=answers.PrincipalOut)
async def accept_invitation(request: Request, body: AcceptIn) -> Response:
    """Whoever holds the token becomes the member it names. Once: a second call answers `invitation_accepted`."""
    gate = gate_of(request)
    gate.count_stranger(request)
    return reply(encoding.principal(await people.accept_invitation(gate.desk, body.token, body.name)), 201)


# --- keys ---


@router.get("/api/keys", tags=["keys"], response_model=answers.KeyPage)
async def list_keys(
    request: Request,
    *,
    with_revoked: Annotated[bool, Query()] = True,
    cursor: UUID | None = None,
    limit: _Limit = 100,
) -> Response:
    call = call_of(request)
    found = await people.list_keys(call.desk, call.principal, with_revoked=with_revoked, after=cursor, limit=limit)
    return reply(page([encoding.api_key(each) for each in found], found[-1].id if len(found) == limit else None))


@router.post("/api/keys", tags=["keys"], status_code=201, response_model=answers.NewKeyOut)
async def make_key(request: Request, body: KeyIn) -> Response:
    """The token is in this response only; a repeated call gets null in its place."""
    call = call_of(request)
    made = await people.create_key(
        call.desk,
        call.principal,
        name=body.name,
        role=body.role,
        scopes=body.scopes,
        expires_at=body.expires_at,
        remember=call.remember(_key_without_token),
    )
    return reply({**encoding.api_key(made.key), "token": made.token}, 201)


@router.delete("/api/keys/{key_id}", tags=["keys"], response_model=answers.KeyOut)
async def revoke_key(request: Request, key_id: UUID) -> Response:
    """For good. Other processes may honor it for the time of `ASOE_KEY_CACHE_SECONDS`, but see no rows any more."""
    call = call_of(request)
    revoked = await people.revoke_key(call.desk, call.principal, key_id)
    call.gate.authenticator.forget_key(key_id)
    return reply(encoding.api_key(revoked))


# --- contacts ---


@router.get("/api/contacts", tags=["contacts"], response_model=answers.ContactPage)
async def list_contacts(
    request: Request,
    *,
    blocked: bool | None = None,
    email: Annotated[str | None, Query(max_length=254)] = None,
    cursor: UUID | None = None,
    limit: _Limit = 100,
) -> Response:
    """Clients without an account."""
    call = call_of(request)
    found = await people.list_contacts(
        call.desk, call.principal, blocked=blocked, email=email, after=cursor, limit=limit
    )
    return reply(page([contact(each) for each in found], found[-1].id if len(found) == limit else None))


@router.post("/api/contacts/{contact_id}/block", tags=["contacts"], response_model=answers.ContactOut)
async def block_contact(request: Request, contact_id: UUID) -> Response:
    """Its further requests are kept as spam and not answered."""
    call = call_of(request)
    return reply(contact(await people.block_contact(call.acting, call.principal, contact_id)))


@router.post("/api/contacts/{contact_id}/unblock", tags=["contacts"], response_model=answers.ContactOut)
async def unblock_contact(request: Request, contact_id: UUID) -> Response:
    call = call_of(request)
    return reply(contact(await people.block_contact(call.acting, call.principal, contact_id, blocked=False)))


@router.post("/api/contacts/{contact_id}/export", tags=["contacts"], response_model=answers.ContactExport)
async def export_contact(request: Request, contact_id: UUID) -> Response:
    """All that is held of a client. Never kept for an Idempotency-Key: it is made anew each time."""
    call = call_of(request)
    return reply(await privacy.export_contact(call.desk, call.principal, contact_id))


@router.post("/api/contacts/{contact_id}/erase", tags=["contacts"], response_model=answers.ContactErased)
async def erase_contact(request: Request, contact_id: UUID) -> Response:
    """Its text, names and files go for good; counts stay."""
    call = call_of(request)
    return reply({"tickets": await privacy.erase_contact(call.acting, call.principal, contact_id)})


async def _check_settings(call: Call, wanted: dict[str, Any]) -> None:
    """Raise `Invalid(bad_policy)` when the settings would not be readable with these merged in."""
    stored = (await people.read_organization(call.desk, call.principal)).settings
    merged = {name: value for name, value in {**stored, **wanted}.items() if value is not None}
    try:
        read_policy(merged)
    except (AttributeError, TypeError, ValueError):
        raise Invalid(
            "settings: a value has the wrong form; docs/operations/policy.md shows each.", code="bad_policy"
        ) from None


def contact(value: Contact) -> dict[str, Any]:
    return asdict(value)


def _invitation_without_token(value: Invitation) -> dict[str, Any]:
    return {**encoding.invitation(value), "token": None}


def _key_without_token(value: ApiKey) -> dict[str, Any]:
    return {**encoding.api_key(value), "token": None}
