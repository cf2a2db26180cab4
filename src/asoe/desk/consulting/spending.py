"""What language models have cost an organization, and what is left of today: for its staff."""

from __future__ import annotations

from typing import Any

from asoe.desk.context import Desk, policy_of
from asoe.domain.errors import Denied
from asoe.domain.language_model import least
from asoe.domain.organization import Principal
from asoe.store import model_spend


async def read_spending(desk: Desk, principal: Principal, *, days: int = 7) -> dict[str, Any]:
    """The model, its uses and limits here, and each of the last `days` (UTC) that had calls; staff only."""
    if not principal.is_staff:
        raise Denied("Only staff of the organization may see what its language model costs.", code="staff_only")
    async with desk.database.org_reading(principal) as connection:
        rules = (await policy_of(connection, principal.org_id)).language_model
        spent = await model_spend.spent(connection, principal.org_id, desk.clock().date(), days=days)
    access = desk.model
    tokens = least(rules.tokens_per_day, access.tokens_per_day if access else None)
    usd = least(rules.usd_per_day, access.usd_per_day if access else None)
    return {
        "model": access.model.name if access else None,
        "uses": sorted(rules.uses) if access else [],
        "tokens_per_day": None if tokens is None else int(tokens),
        "usd_per_day": None if usd is None else float(usd),
        "tokens_per_pass": rules.tokens_per_pass,
        "usd_per_pass": None if rules.usd_per_pass is None else float(rules.usd_per_pass),
        "days": [
            {
                "day": each.day.isoformat(),
                "tokens": each.tokens,
                "cost_usd": float(each.cost_usd),
                "calls": each.calls,
                "failures": each.failures,
            }
            for each in spent
        ],
    }
