"""Pages of the front door: sign in and out, choose an organization, accept an invitation."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from starlette.responses import RedirectResponse, Response

from asoe.desk import sign_in as desk_sign_in
from asoe.domain.errors import AsoeError, Denied, Missing, Unavailable
from asoe.web import cookies
from asoe.web.door import ANYBODY, SIGNED_IN, Pages, Visit, safe_next

pages = Pages()
_INVITATION: Final = "/invitations/{token}"


@pages.get("/sign-in", roles=ANYBODY)
async def show(visit: Visit) -> Response:
    following = safe_next(visit.text("next", "/", most=2000))
    if visit.sign_in is not None and visit.sign_in.principal is not None:
        return RedirectResponse(following, 303)
    return _door(visit, following=following)


@pages.post("/sign-in", roles=ANYBODY)
async def sign_in(visit: Visit) -> Response:
    following = safe_next(visit.text("next", "/", most=2000))
    email = visit.text("email", most=300)
    try:
        count_try(visit, email)
        made = await desk_sign_in.sign_in(
            visit.desk, email, visit.text("password", most=1000), agent=visit.request.headers.get("user-agent", "")
        )
    except (Denied, Unavailable) as refused:
        status = 429 if isinstance(refused, Unavailable) else 401
        return _door(visit, status, following=following, email=email, problem=refused.message)
    await end_old(visit)
    return signed_in(visit, made.token, following)


@pages.post("/sign-out", roles=SIGNED_IN)
async def sign_out(visit: Visit) -> Response:
    await desk_sign_in.sign_out(visit.desk, visit.token)
    return _signed_out(visit)


@pages.post("/sign-out-everywhere", roles=SIGNED_IN)
async def sign_out_everywhere(visit: Visit) -> Response:
    if visit.sign_in is not None:
        await desk_sign_in.sign_out_everywhere(visit.desk, visit.sign_in.user_id)
    return _signed_out(visit)


@pages.get("/organizations", roles=SIGNED_IN)
async def list_organizations(visit: Visit) -> Response:
    if visit.sign_in is None:
        raise Missing("Sign in first.", code="missing")
    found = await desk_sign_in.choices(visit.desk, visit.sign_in.user_id)
    following = safe_next(visit.text("next", "/", most=2000))
    return visit.page("organizations.html", found=found, following=following)


@pages.post("/organizations", roles=SIGNED_IN)
async def choose_organization(visit: Visit) -> Response:
    try:
        org_id = UUID(visit.text("org_id", most=40))
    except ValueError:
        raise Missing("There is no such organization.", code="no_organization") from None
    await desk_sign_in.choose(visit.desk, visit.token, org_id)
    return visit.back(safe_next(visit.text("next", "/", most=2000)))


@pages.get(_INVITATION, roles=ANYBODY)
async def show_invitation(visit: Visit) -> Response:
    return await _invitation(visit, problem="", name="")


@pages.post(_INVITATION, roles=ANYBODY)
async def accept_invitation(visit: Visit) -> Response:
    """A new account chooses its password here; one that has a password signs in and then joins."""
    count_try(visit, "")
    token = visit.request.path_params["token"]
    name = visit.text("name", most=300)
    try:
        if visit.sign_in is not None and not visit.text("password"):
            await desk_sign_in.join(visit.desk, visit.sign_in, token, token=visit.token)
            return visit.back("/", "Welcome. You joined this organization.")
        made = await desk_sign_in.accept(
            visit.desk,
            token,
            name=name,
            password=visit.text("password", most=1000),
            agent=visit.request.headers.get("user-agent", ""),
        )
    except AsoeError as refused:
        return await _invitation(visit, problem=refused.message, name=name)
    await end_old(visit)
    return signed_in(visit, made.token, "/")


def _door(visit: Visit, status: int = 200, *, following: str, email: str = "", problem: str = "") -> Response:
    return visit.page(
        "sign_in.html",
        status,
        following=following,
        email=email,
        problem=problem,
        mails=visit.desk.house_mail is not None,
        oidc=visit.site.gate.settings.oidc_label if visit.site.oidc else "",
    )


async def _invitation(visit: Visit, *, problem: str, name: str) -> Response:
    values: dict[str, Any] = {"token": visit.request.path_params["token"], "problem": problem, "name": name}
    offer = await desk_sign_in.read_offer(visit.desk, values["token"])
    return visit.page("invitation.html", 422 if problem else 200, offer=offer, **values)


def count_try(visit: Visit, email: str) -> None:
    """Count a try against its address and its account; raises `Unavailable(too_many_sign_ins)`."""
    client = visit.request.client.host if visit.request.client else ""
    allowances = [visit.site.addresses.hit(client)]
    if email.strip():
        allowances.append(visit.site.accounts.hit(email.strip().lower()))
    for allowance in allowances:
        if allowance.is_spent:
            minutes = max(1, round(allowance.retry_after / 60))
            raise Unavailable(
                f"Too many tries. Wait {minutes} min, or ask an owner of your organization for help.",
                code="too_many_sign_ins",
                retry_after=allowance.retry_after,
                throttled=True,
            )


async def end_old(visit: Visit) -> None:
    if visit.sign_in is not None:
        await desk_sign_in.sign_out(visit.desk, visit.token)


def signed_in(visit: Visit, token: str, path: str) -> Response:
    response = RedirectResponse(path, 303)
    seconds = int(desk_sign_in.LIFETIME.total_seconds())
    cookies.set_sign_in(response, token, secure=visit.site.is_secure(visit.request), seconds=seconds)
    return response


def _signed_out(visit: Visit) -> Response:
    response = RedirectResponse("/sign-in", 303)
    cookies.drop_sign_in(response, secure=visit.site.is_secure(visit.request))
    return response
