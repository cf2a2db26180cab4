"""Forgotten passwords: ask for a link by mail, and choose a new password with it. An unknown address gets the same answer."""

from __future__ import annotations

from typing import Final

from starlette.background import BackgroundTask
from starlette.responses import Response

from asoe.desk import password_reset
from asoe.domain.errors import Invalid, Unavailable
from asoe.web.door import ANYBODY, Pages, Visit
from asoe.web.sign_in import count_try, end_old, signed_in

pages = Pages()
_ASK: Final = "/forgot-password"
_CHOOSE: Final = "/reset-password/{token}"


@pages.get(_ASK, roles=ANYBODY)
async def show(visit: Visit) -> Response:
    return _asking(visit)


@pages.post(_ASK, roles=ANYBODY)
async def ask(visit: Visit) -> Response:
    """The work is done after the answer, which therefore takes as long for an address nobody has."""
    email = visit.text("email", most=300)
    try:
        count_try(visit, f"reset {email}" if email.strip() else "")
    except Unavailable as refused:
        return _asking(visit, 429, email=email, problem=refused.message)
    response = _asking(visit, is_sent=True)
    response.background = BackgroundTask(password_reset.ask, visit.desk, email)
    return response


@pages.get(_CHOOSE, roles=ANYBODY)
async def choose(visit: Visit) -> Response:
    """Looking at a link uses nothing up: mail servers do."""
    return await _choosing(visit)


@pages.post(_CHOOSE, roles=ANYBODY)
async def set_password(visit: Visit) -> Response:
    count_try(visit, "")
    token = str(visit.request.path_params["token"])
    try:
        made = await password_reset.use(
            visit.desk,
            token,
            visit.text("password", most=1000),
            agent=visit.request.headers.get("user-agent", ""),
        )
    except Invalid as refused:
        return await _choosing(visit, problem=refused.message)
    await end_old(visit)
    return signed_in(visit, made.token, "/")


def _asking(visit: Visit, status: int = 200, *, email: str = "", problem: str = "", is_sent: bool = False) -> Response:
    return visit.page(
        "forgot_password.html",
        status,
        mails=visit.desk.house_mail is not None,
        email=email,
        problem=problem,
        is_sent=is_sent,
    )


async def _choosing(visit: Visit, problem: str = "") -> Response:
    token = str(visit.request.path_params["token"])
    email = await password_reset.read(visit.desk, token)
    return visit.page("reset_password.html", 422 if problem else 200, token=token, email=email, problem=problem)
