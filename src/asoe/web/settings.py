"""Settings of the organization: its policy, who belongs to it, and the keys of its programs. For owners and admins."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response

from asoe.desk import invitation_mail, people
from asoe.domain.errors import AsoeError, Invalid
from asoe.domain.organization import ROLES
from asoe.domain.people import SCOPES, may_grant
from asoe.domain.policy import SUPPORTED_LANGUAGES, read_policy
from asoe.domain.triage import CATEGORIES
from asoe.web.door import ADMINS, Pages, Visit

pages = Pages()
TABS: Final = (
    ("Organization", "/settings"),
    ("Members", "/settings/members"),
    ("API keys", "/settings/keys"),
    ("Connectors", "/settings/connectors"),
    ("Service levels", "/settings/service-levels"),
    ("Mail", "/settings/mail"),
    ("Webhooks", "/settings/webhooks"),
    ("Alerts", "/settings/alerts"),
    ("Widget", "/settings/widget"),
    ("Teams", "/settings/teams"),
    ("Replies", "/settings/replies"),
    ("Intents", "/settings/intents"),
    ("Learning", "/settings/learning"),
)
_NUMBERS: Final = {
    "reopen_window_days": "Days in which an ended ticket may be reopened",
    "close_after_silence_hours": "Hours of silence after an answer that close a ticket",
    "answer_threshold": "Chance of helping from which the engine answers (0 to 1)",
    "confidence_threshold": "Confidence below which a person sorts the ticket (0 to 1)",
}


# --- organization ---


@pages.get("/settings", roles=ADMINS)
async def show(visit: Visit) -> Response:
    return await _organization(visit)


@pages.post("/settings", roles=ADMINS)
async def change(visit: Visit) -> Response:
    """Merge what the form holds into the settings; other settings stay as they are."""
    stored = (await people.read_organization(visit.desk, visit.principal)).settings
    try:
        routing = dict(stored.get("routing") or {})
        by_category = {name: visit.text(f"team.{name}", most=100).strip() for name in CATEGORIES}
        routing["by_category"] = {name: team for name, team in by_category.items() if team}
        if default := visit.text("default_team", most=100).strip():
            routing["default"] = default
        wanted: dict[str, Any] = {
            "routing": routing,
            "languages": visit.texts("languages"),
            "default_language": visit.text("default_language", "en", most=10),
            "signature": visit.text("signature", most=2000),
            "persons_only": [each for each in CATEGORIES if each in visit.texts("persons_only")],
            **{name: _number(visit, name) for name in _NUMBERS},
        }
        kept = [each for each in stored.get("persons_only", ()) if each not in CATEGORIES]  # intents, set by the API
        wanted["persons_only"] += kept
        await people.change_organization(
            visit.desk, visit.principal, name=visit.text("name", most=300), settings=wanted
        )
    except AsoeError as error:
        return await _organization(visit, problem=error)
    return visit.back("/settings", "Saved.")


async def _organization(visit: Visit, problem: AsoeError | None = None) -> Response:
    found = await people.read_organization(visit.desk, visit.principal)
    return visit.page(
        "settings.html",
        422 if problem else 200,
        tabs=TABS,
        found=found,
        policy=read_policy(found.settings),
        problem=problem,
        numbers=_NUMBERS,
        stored=found.settings,
        categories=CATEGORIES,
        languages=SUPPORTED_LANGUAGES,
    )


def _number(visit: Visit, name: str) -> float | None:
    given = visit.text(name, most=30).strip().replace(",", ".")
    if not given:
        return None
    try:
        return float(given)
    except ValueError:
        raise Invalid(f"{_NUMBERS[name]}: {given!r} is no number.", code="bad_policy") from None


# --- members ---


@pages.get("/settings/members", roles=ADMINS)
async def show_members(visit: Visit) -> Response:
    return await _members(visit)


@pages.post("/settings/members/{user_id}/role", roles=ADMINS)
async def change_role(visit: Visit) -> Response:
    user_id = visit.id("user_id", "member")
    before = await people.read_member(visit.desk, visit.principal, user_id)
    member = await people.change_role(visit.desk, visit.principal, user_id, visit.text("role", most=20))
    undo = {"path": f"/settings/members/{user_id}/role", "fields": [["role", before.role]]}
    said = f"{member.name or member.email} is {member.role} now."
    return visit.back("/settings/members", said, undo=undo if before.role != member.role else None)


@pages.post("/settings/members/{user_id}/disable", roles=ADMINS)
async def disable(visit: Visit) -> Response:
    user_id = visit.id("user_id", "member")
    member = await people.disable_member(visit.desk, visit.principal, user_id)
    undo = {"path": f"/settings/members/{user_id}/enable", "fields": []}
    return visit.back("/settings/members", f"{member.name or member.email} is shut out.", undo=undo)


@pages.post("/settings/members/{user_id}/enable", roles=ADMINS)
async def enable(visit: Visit) -> Response:
    member = await people.enable_member(visit.desk, visit.principal, visit.id("user_id", "member"))
    return visit.back("/settings/members", f"{member.name or member.email} may come in again.")


@pages.post("/settings/invitations", roles=ADMINS)
async def invite(visit: Visit) -> Response:
    """The link is shown this once, and mailed where there is a mailbox or a mail server."""
    try:
        made = await people.invite(
            visit.desk, visit.principal, email=visit.text("email", most=300), role=visit.text("role", "agent", most=20)
        )
        is_mailed = await invitation_mail.send(visit.desk, visit.principal, made)
    except AsoeError as error:
        return await _members(visit, problem=error)
    base = visit.site.gate.settings.public_url or str(visit.request.base_url)
    link = f"{base.rstrip('/')}/invitations/{made.token}"
    return await _members(visit, link=link, invited=made.invitation.email, is_mailed=is_mailed)


@pages.post("/settings/invitations/{invitation_id}/withdraw", roles=ADMINS)
async def withdraw(visit: Visit) -> Response:
    found = await people.revoke_invitation(visit.desk, visit.principal, visit.id("invitation_id", "invitation"))
    return visit.back("/settings/members", f"The invitation of {found.email} is withdrawn.")


async def _members(
    visit: Visit, *, problem: AsoeError | None = None, link: str = "", invited: str = "", is_mailed: bool = False
) -> Response:
    after = visit.text("after", most=40) if visit.request.method == "GET" else ""
    members = await people.list_members(
        visit.desk, visit.principal, after=_member_id(after) if after else None, limit=100
    )
    return visit.page(
        "members.html",
        422 if problem else 200,
        tabs=TABS,
        members=members,
        following=members[-1].user_id if len(members) == 100 else "",
        invitations=await people.list_invitations(visit.desk, visit.principal),
        roles=[role for role in ROLES if may_grant(visit.principal.role, role)],
        problem=problem,
        link=link,
        invited=invited,
        is_mailed=is_mailed,
    )


def _member_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("after: this is no id of a member.", code="invalid_request") from None


# --- keys ---


@pages.get("/settings/keys", roles=ADMINS)
async def show_keys(visit: Visit) -> Response:
    return await _keys(visit)


@pages.post("/settings/keys", roles=ADMINS)
async def make_key(visit: Visit) -> Response:
    """The key is shown this once."""
    days = visit.number("days", 0, high=3650)
    try:
        made = await people.create_key(
            visit.desk,
            visit.principal,
            name=visit.text("name", most=300),
            role=visit.text("role", "agent", most=20),
            scopes=visit.texts("scopes"),
            expires_at=visit.desk.clock() + timedelta(days=days) if days else None,
        )
    except AsoeError as error:
        return await _keys(visit, problem=error)
    return await _keys(visit, token=made.token, made=made.key.name)


@pages.post("/settings/keys/{key_id}/revoke", roles=ADMINS)
async def revoke_key(visit: Visit) -> Response:
    key_id = visit.id("key_id", "key")
    revoked = await people.revoke_key(visit.desk, visit.principal, key_id)
    visit.site.gate.authenticator.forget_key(key_id)
    return visit.back("/settings/keys", f"The key {revoked.name} is revoked for good.")


async def _keys(visit: Visit, *, problem: AsoeError | None = None, token: str = "", made: str = "") -> Response:
    return visit.page(
        "keys.html",
        422 if problem else 200,
        tabs=TABS,
        keys=await people.list_keys(visit.desk, visit.principal, limit=200),
        roles=[role for role in ROLES if may_grant(visit.principal.role, role)],
        scopes=SCOPES,
        problem=problem,
        token=token,
        made=made,
    )
