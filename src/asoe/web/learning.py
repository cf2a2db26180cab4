"""Settings of what the engine has learned: models, how each was compared, training, roll-back, and the newest corrections."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from asoe.desk import learning
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
        is_training=any(each.state == "training" for each in models),
        has_champion=any(each.state == "champion" for each in models),
    )


@pages.post(_PATH + "/train", roles=ADMINS)
async def train(visit: Visit) -> Response:
    begun = await learning.start_training(visit.desk, visit.principal)
    return visit.back(_PATH, f"Model {begun.version} is being trained; look here again in a moment.")


@pages.post(_PATH + "/roll-back", roles=ADMINS)
async def roll_back(visit: Visit) -> Response:
    found = await learning.roll_back(visit.desk, visit.principal)
    return visit.back(
        _PATH, "The shared model judges alone again." if found is None else f"Model {found.version} judges again."
    )
