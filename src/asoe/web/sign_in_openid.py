"""Signing in through the installation's OpenID provider: there and back. Only members get in, by their verified address."""

from __future__ import annotations

import hmac
from typing import Final

from starlette.responses import RedirectResponse, Response

from asoe.desk import sign_in as desk_sign_in
from asoe.domain.errors import Denied, Missing, Unavailable
from asoe.web import cookies
from asoe.web.door import ANYBODY, Pages, Visit, safe_next
from asoe.web.openid import CALLBACK, Attempt, OpenIdProvider
from asoe.web.sign_in import count_try, end_old, signed_in

pages = Pages()
_COOKIE: Final = "asoe_openid"
_SECONDS: Final = 600


@pages.get("/sign-in/oidc", roles=ANYBODY)
async def leave(visit: Visit) -> Response:
    """To the provider; what the answer must match stays in a cookie of this browser."""
    provider = _provider(visit)
    attempt = Attempt.new()
    response = RedirectResponse(await provider.address(attempt), 303)
    following = safe_next(visit.text("next", "/", most=2000))
    body = "|".join((attempt.state, attempt.nonce, attempt.verifier, following.encode().hex()))
    secure = visit.site.is_secure(visit.request)
    response.set_cookie(
        cookies.named(_COOKIE, secure=secure),
        f"{body}|{cookies.sign(body, visit.token)}",
        max_age=_SECONDS,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )
    return response


@pages.get(CALLBACK, roles=ANYBODY)
async def come_back(visit: Visit) -> Response:
    provider = _provider(visit)
    count_try(visit, "")
    try:
        attempt, following = _attempt(visit)
        proven = await provider.prove(
            attempt,
            code=visit.text("code", most=4096),
            state=visit.text("state", most=200),
            issuer=visit.text("iss", most=2000) or None,
        )
        made = await desk_sign_in.sign_in_proven(
            visit.desk, proven.email, agent=visit.request.headers.get("user-agent", "")
        )
    except (Denied, Unavailable) as refused:
        status = 503 if isinstance(refused, Unavailable) else 401
        response = visit.page("sign_in_failed.html", status, problem=refused.message)
    else:
        await end_old(visit)
        response = signed_in(visit, made.token, following)
    _drop(visit, response)
    return response


def _attempt(visit: Visit) -> tuple[Attempt, str]:
    """What this browser went away with, once, unless the provider says that it does not know the visitor."""
    if visit.text("error", most=2000):
        raise Denied("The provider did not let you through.", code="sign_in_not_proven", unproven=True)
    name = cookies.named(_COOKIE, secure=visit.site.is_secure(visit.request))
    body, _, signature = visit.request.cookies.get(name, "").rpartition("|")
    parts = body.split("|")
    is_ours = hmac.compare_digest(signature.encode(), cookies.sign(body, visit.token).encode())
    if len(parts) != 4 or not is_ours:
        raise Denied(
            "This sign-in was not begun in this browser, or is too old. Begin again.",
            code="sign_in_not_proven",
            unproven=True,
        )
    return Attempt(*parts[:3]), safe_next(bytes.fromhex(parts[3]).decode())


def _drop(visit: Visit, response: Response) -> None:
    secure = visit.site.is_secure(visit.request)
    response.delete_cookie(
        cookies.named(_COOKIE, secure=secure), path="/", secure=secure, httponly=True, samesite="lax"
    )


def _provider(visit: Visit) -> OpenIdProvider:
    if visit.site.oidc is None:
        raise Missing("Nobody signs in through a provider here.", code="missing")
    return visit.site.oidc
