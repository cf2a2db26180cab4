"""Settings of canned replies: texts with variables that everybody of the team can send. For owners and admins."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from asoe.desk import canned_reply
from asoe.domain.canned_reply import VARIABLES
from asoe.domain.errors import Invalid
from asoe.web.door import ADMINS, Pages, Visit
from asoe.web.settings import TABS

pages = Pages()
_PATH: Final = "/settings/replies"


@pages.get(_PATH, roles=ADMINS)
async def show(visit: Visit) -> Response:
    return await _page(visit)


@pages.post(_PATH, roles=ADMINS)
async def put(visit: Visit) -> Response:
    """Add a reply, or replace the one of this name."""
    given = {name: visit.text(name, most=20_000).strip() for name in ("name", "title", "body", "language")}
    try:
        await canned_reply.put_reply(
            visit.desk,
            visit.principal,
            given["name"],
            title=given["title"],
            body=given["body"],
            language=given["language"] or None,
        )
    except Invalid as error:
        return await _page(visit, given=given, problem=error.message)
    return visit.back(_PATH, "Saved.")


@pages.post(_PATH + "/remove", roles=ADMINS)
async def remove(visit: Visit) -> Response:
    gone = await canned_reply.remove_reply(visit.desk, visit.principal, visit.text("name", most=100))
    fields = {"name": gone.name, "title": gone.title, "body": gone.body, "language": gone.language or ""}
    undo = {"path": _PATH, "fields": [[name, value] for name, value in fields.items()]}
    return visit.back(_PATH, "Removed.", undo=undo)


async def _page(visit: Visit, *, given: dict[str, str] | None = None, problem: str = "") -> Response:
    replies = await canned_reply.list_replies(visit.desk, visit.principal)
    return visit.page(
        "canned_replies.html",
        422 if problem else 200,
        tabs=TABS,
        replies=replies,
        given=given or {},
        problem=problem,
        variables=VARIABLES,
    )
