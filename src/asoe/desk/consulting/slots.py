"""Slots that the local reader found nothing for: the model points at the client's words, code reads the value out of them.

Only absent ones: where the words leave two readings open the client is asked. Consents, and yes or no, never.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from asoe.ai.language_model import Data
from asoe.ai.language_model.shapes import FoundSlots
from asoe.ai.slots import SlotText
from asoe.ai.slots.plain import read_plain
from asoe.desk.consulting import Question, Rejected, Restore, consult
from asoe.desk.context import Desk
from asoe.desk.trail import Trail
from asoe.domain.language_model import ModelRules
from asoe.domain.organization import Principal
from asoe.domain.runbook import Slot, SlotReading
from asoe.domain.ticket import Ticket

FILLABLE: Final = frozenset({"email", "phone", "identifier", "number", "amount", "date", "name", "text", "choice"})
BY_MODEL: Final = "model:"
"""Where such a value comes from, before the place in the client's words."""
SURE: Final = 0.6
_NAME: Final = re.compile(r"[^\W\d_][\w'’. -]{1,59}")
_TASK: Final = (
    "A support desk needs some values out of what a client wrote. For each slot that the client's words settle, return its name and, "
    "as quote, the very words that hold the value, copied letter by letter and as short as possible. For a slot with choices, "
    "return the choice meant, too. Leave out every slot the words do not settle; never guess."
)


async def fill_slots(
    desk: Desk,
    engine: Principal,
    ticket: Ticket,
    slots: Sequence[Slot],
    readings: Mapping[str, SlotReading],
    *,
    passages: Sequence[SlotText],
    known: Mapping[str, SlotReading],
    rules: ModelRules,
    trail: Trail,
) -> dict[str, SlotReading]:
    """`readings` with what the model found of the absent ones. `known`: those of an earlier reading, which is not repeated."""
    found = dict(readings)
    for name, reading in known.items():
        if name in found and found[name].status == "absent" and reading.source.startswith(BY_MODEL):
            found[name] = reading
    open_slots = [slot for slot in slots if slot.type in FILLABLE and found[slot.name].status == "absent"]
    said = [passage for passage in passages if passage.role in {"client", "staff"}]
    if desk.model is None or not any(slot.is_required for slot in open_slots) or not said:
        return found
    asked: Question[FoundSlots, dict[str, SlotReading]] = Question(
        use="slots",
        agent="ops-fixer",
        task=_TASK,
        data=[
            *(Data("slot", _described(slot), slot.name) for slot in open_slots),
            *(Data("desk" if passage.role == "engine" else "client", passage.text) for passage in passages),
        ],
        shape=FoundSlots,
        check=lambda reply, restore: _checked(reply, restore, open_slots, said, language=ticket.language),
    )
    return found | (await consult(desk, engine, asked, rules=rules, ticket_id=ticket.id, trail=trail) or {})


def _described(slot: Slot) -> str:
    question = slot.question.get("en") or next(iter(slot.question.values()), slot.name)
    choices = f"\nChoices: {', '.join(slot.choices)}" if slot.choices else ""
    return f"{slot.type}: {question}{choices}"


def _checked(
    reply: FoundSlots, restore: Restore, slots: Sequence[Slot], said: Sequence[SlotText], *, language: str
) -> dict[str, SlotReading]:
    by_name = {slot.name: slot for slot in slots}
    found: dict[str, SlotReading] = {}
    for one in reply.found:
        slot = by_name.get(one.slot)
        quote = " ".join(restore(one.quote).split())
        passage = next((each for each in reversed(said) if quote and quote in " ".join(each.text.split())), None)
        if slot is None or passage is None:
            continue
        value = _value(slot, passage.source, quote, choice=one.choice, language=language)
        if value is not None:
            found[slot.name] = SlotReading(slot.name, "read", value, f"{BY_MODEL}{passage.source}", quote, SURE)
    if not found:
        raise Rejected("nothing_found")
    return found


def _value(slot: Slot, source: str, quote: str, *, choice: str | None, language: str) -> Any:
    """The value as the local reader takes it out of the quote; None when it holds none."""
    if slot.type == "choice":
        return choice if choice in slot.choices else None
    if slot.type == "text":
        return quote
    reading = read_plain(slot, source, quote, language)
    if reading is not None:
        return reading.value if reading.status == "read" else None
    if slot.type == "number" and not slot.unit and re.fullmatch(r"\d{1,12}(?:\.\d{1,6})?", quote):
        return Decimal(quote)
    if slot.type == "name" and _NAME.fullmatch(quote):
        return quote
    return None
