"""Recommendations: what is worth doing, with its evidence and expected gain; people decide, and see what came of it."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from asoe.desk import recommendation
from asoe.domain.errors import Invalid, Missing
from asoe.domain.recommendation import RULES, STATUSES
from asoe.web.door import ADMINS, STAFF, Pages, Visit

pages = Pages()
_PLACES: Final = {
    "article": ("/knowledge/gaps", "Gaps"),
    "runbook": ("/runbooks", "Runbooks"),
    "promote": ("/runbooks/{key}", "The runbook"),
    "brake": ("/runbooks/{key}", "The runbook"),
    "connector": ("/settings/connectors", "Connectors"),
    "client": ("/insights?client={key}&days=30", "The client's figures"),
}
"""Where it is done."""


@pages.get("/recommendations", roles=STAFF)
async def show(visit: Visit) -> Response:
    return await _page(visit)


@pages.post("/recommendations/look", roles=STAFF)
async def look(visit: Visit) -> Response:
    asked = visit.desk.clock()
    await recommendation.ask(visit.desk, visit.principal)
    return visit.back("/recommendations?" + urlencode({"asked": asked.isoformat()}), "It is being looked for.")


@pages.post("/recommendations/{recommendation_number}/decide", roles=ADMINS)
async def decide(visit: Visit) -> Response:
    given = visit.request.path_params["recommendation_number"]
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) < 2**31:
        raise Missing("There is no such recommendation here.", code="missing")
    decision = visit.text("decision", most=20)
    try:
        await recommendation.decide(visit.desk, visit.principal, int(given), decision, visit.text("reason", most=2000))
    except Invalid as error:
        return await _page(visit, problem=error)
    says = "Accepted: what comes of it is counted for 30 days." if decision == "accept" else "Dismissed."
    return visit.back("/recommendations", says)


async def _page(visit: Visit, *, problem: Invalid | None = None) -> Response:
    status = visit.text("status", "open", most=20)
    if status not in STATUSES:
        status = "open"
    found = await recommendation.read_advice(visit.desk, visit.principal, statuses=(status,))
    asked = visit.moment("asked") if visit.request.method == "GET" else None
    return visit.page(
        "recommendations.html",
        422 if problem else 200,
        items=[(each, recommendation.to_json(each), _place(each.it)) for each in found.items],
        looked_at=found.looked_at,
        waits_since=asked if asked and (found.looked_at is None or found.looked_at < asked) else None,
        status=status,
        statuses=STATUSES,
        rules=RULES,
        may_decide=visit.principal.role in ADMINS,
        problem=problem,
    )


def _place(it: Any) -> tuple[str, str]:
    path, name = _PLACES[it.kind]
    return path.format(key=it.key), name
