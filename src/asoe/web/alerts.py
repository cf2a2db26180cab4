"""Settings of alerts: which monitoring systems may send them. For owners and admins."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from asoe.desk.incident import alerting
from asoe.desk.incident.alerting import NewSource
from asoe.domain.alert import KINDS, PROOFS
from asoe.domain.errors import AsoeError
from asoe.web.door import ADMINS, Pages, Visit
from asoe.web.settings import TABS

pages = Pages()
_PATH: Final = "/settings/alerts"


@pages.get(_PATH, roles=ADMINS)
async def show(visit: Visit) -> Response:
    return await _page(visit)


@pages.post(_PATH, roles=ADMINS)
async def add(visit: Visit) -> Response:
    """A new source; its secret is on the page that answers, and nowhere else."""
    try:
        made = await alerting.add_source(
            visit.desk,
            visit.principal,
            name=visit.text("name", most=1000),
            kind=visit.text("kind", most=50),
            proof=visit.text("proof", most=50),
        )
    except AsoeError as problem:
        return await _page(visit, problem=problem)
    return await _page(visit, made=made)


@pages.post(_PATH + "/{source_id}/rotate", roles=ADMINS)
async def rotate(visit: Visit) -> Response:
    made = await alerting.rotate(visit.desk, visit.principal, visit.id("source_id", "source"))
    return await _page(visit, made=made)


@pages.post(_PATH + "/{source_id}/remove", roles=ADMINS)
async def remove(visit: Visit) -> Response:
    await alerting.remove_source(visit.desk, visit.principal, visit.id("source_id", "source"))
    return visit.back(_PATH, "Removed. Incidents that it opened stay.")


async def _page(visit: Visit, *, problem: AsoeError | None = None, made: NewSource | None = None) -> Response:
    return visit.page(
        "alerts.html",
        422 if problem else 200,
        tabs=TABS,
        found=await alerting.list_sources(visit.desk, visit.principal),
        start=f"{visit.desk.public_url}/api/alerts/{visit.principal.org_id}",
        kinds=KINDS,
        proofs=PROOFS,
        problem=problem,
        made=made,
    )
