"""Whether a run may ask the client something: never for an act that could not be done whatever the answer, and only so often a ticket.

And what the run is told where nobody was asked, or asked in vain.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from asoe.desk.runbook import acts
from asoe.desk.runbook.caps import over_cap
from asoe.desk.runbook.passing import Pass, Stop
from asoe.domain.policy import read_policy
from asoe.domain.runbook import Inquire, Perform, SlotReading
from asoe.store import autonomy, organizations, runs

NOT_ASKED: Final = "not asked"
"""The source of a reading that nobody was asked for."""
IN_VAIN: Final = "asked in vain"
"""The source of a reading of answers that nobody could make out."""


def in_vain(slot: str) -> SlotReading:
    """What a run is told when its question was put again and again, and never answered so that it could be read."""
    note = "The client answered the question each time, and nothing in it could be read as an answer."
    return SlotReading(slot, "unsure", source=IN_VAIN, evidence=note)


async def why_not(passing: Pass, inquiry: Inquire) -> Stop | str | None:
    """None: ask. A `Stop`: why the act would not be done anyway. A sentence: why this ticket's client is not asked any more."""
    wanted = None
    if inquiry.before is not None:
        wanted = Perform(inquiry.path, inquiry.before, inquiry.before.call, amount=Decimal(0))
        stop = await acts.why_never(passing, wanted)
        if stop is not None:
            return stop
    ticket_id = passing.run.ticket_id
    async with passing.desk.database.org_reading(passing.engine) as connection:
        if wanted is not None:
            reason = await autonomy.stopped(connection, passing.org_id)
            if reason is not None:
                return Stop("escalated", "emergency_stop", f"All acts are stopped: {reason}")
            over = await over_cap(connection, passing, wanted)
            if over is not None:
                return Stop("escalated", over.reason, over.note)
        if ticket_id is None:
            return None
        most = read_policy(await organizations.settings(connection, passing.org_id)).most_questions
        asked = await runs.questions_of_ticket(connection, passing.org_id, ticket_id)
    if asked < most:
        return None
    return f"The client was not asked: {asked} questions were put for this ticket, and the limit is {most}."
