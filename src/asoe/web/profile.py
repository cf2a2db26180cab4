"""What belongs to the person who is signed in: the password, and where else it is signed in."""

from __future__ import annotations

from starlette.responses import Response

from asoe.desk import people
from asoe.desk import sign_in as desk_sign_in
from asoe.domain.errors import AsoeError
from asoe.web.door import MEMBERS, Pages, Visit

pages = Pages()


@pages.get("/profile", roles=MEMBERS)
async def show(visit: Visit) -> Response:
    return await _profile(visit)


@pages.post("/profile/password", roles=MEMBERS)
async def change_password(visit: Visit) -> Response:
    """The other sign-ins of this person end with it."""
    allowance = visit.site.accounts.hit(visit.principal.user_id)
    if allowance.is_spent:
        return visit.back("/profile", "Too many tries. Wait some minutes.")
    try:
        await desk_sign_in.change_password(
            visit.desk,
            visit.principal,
            token=visit.token,
            current=visit.text("current", most=1000),
            new=visit.text("password", most=1000),
        )
    except AsoeError as error:
        return await _profile(visit, problem=error)
    return visit.back("/profile", "Your password is changed. You are signed out everywhere else.")


async def _profile(visit: Visit, problem: AsoeError | None = None) -> Response:
    return visit.page(
        "profile.html",
        422 if problem else 200,
        member=await people.read_member(visit.desk, visit.principal, visit.principal.user_id),
        sign_ins=await desk_sign_in.list_sign_ins(visit.desk, visit.principal),
        this=visit.sign_in.id if visit.sign_in else None,
        problem=problem,
    )
