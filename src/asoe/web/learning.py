"""Settings of what the engine has learned: certificates of answers and their blind sample, models, and corrections."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from asoe.desk import certificate, learning, people
from asoe.domain.certificate import ALONE, in_words
from asoe.domain.learning import REASONS
from asoe.web.door import ADMINS, Pages, Visit
from asoe.web.settings import TABS

pages = Pages()
_PATH: Final = "/settings/learning"


@pages.get(_PATH, roles=ADMINS)
async def show(visit: Visit) -> Response:
    models = await learning.list_models(visit.desk, visit.principal, limit=30)
    corrections = await learning.list_corrections(visit.desk, visit.principal, limit=50)
    return visit.page(
        "learning.html",
        tabs=TABS,
        models=models,
        corrections=corrections,
        reasons=REASONS,
        certificates=await certificate.list_certificates(visit.desk, visit.principal),
        sample=await certificate.to_audit(visit.desk, visit.principal, limit=5),
        rules=ALONE,
        in_words=in_words,
        is_training=any(each.state == "training" for each in models),
        has_champion=any(each.state == "champion" for each in models),
    )


@pages.post(_PATH + "/answers", roles=ADMINS)
async def choose_rule(visit: Visit) -> Response:
    """By which rule answers are sent alone."""
    rule = visit.text("answers_alone", most=20)
    before = (await people.read_organization(visit.desk, visit.principal)).settings.get("answers_alone")
    await people.change_organization(visit.desk, visit.principal, settings={"answers_alone": rule})
    undo = {"path": _PATH + "/answers", "fields": [["answers_alone", before]]} if before not in {None, rule} else None
    return visit.back(_PATH, "Saved.", undo=undo)


@pages.post(_PATH + "/certificates", roles=ADMINS)
async def renew(visit: Visit) -> Response:
    found = await certificate.renew(visit.desk, visit.principal)
    certified = sum(each.threshold is not None for each in found.standing)
    return visit.back(_PATH, f"Made anew: {certified} of {len(found.standing)} rest on enough evidence.")


@pages.post(_PATH + "/answers/{answer_id}/audit", roles=ADMINS)
async def audit(visit: Visit) -> Response:
    is_right = visit.text("is_right", most=3) == "yes"
    await certificate.judge(visit.desk, visit.principal, visit.id("answer_id", "answer"), is_right=is_right)
    return visit.back(_PATH, "Noted.")


@pages.post(_PATH + "/train", roles=ADMINS)
async def train(visit: Visit) -> Response:
    begun = await learning.start_training(visit.desk, visit.principal)
    return visit.back(_PATH, f"Model {begun.version} is being trained.")


@pages.post(_PATH + "/cancel", roles=ADMINS)
async def cancel(visit: Visit) -> Response:
    version = await learning.cancel_training(visit.desk, visit.principal)
    return visit.back(_PATH, f"The training of model {version} has ended; nothing was kept of it.")


@pages.post(_PATH + "/roll-back", roles=ADMINS)
async def roll_back(visit: Visit) -> Response:
    found = await learning.roll_back(visit.desk, visit.principal)
    return visit.back(
        _PATH, "The shared model judges alone again." if found is None else f"Model {found.version} judges again."
    )
