"""Reads a runbook's slots from what a client wrote: values with their source and how sure, `unsure` rather than guessed.

The runbook gives types, questions and example phrasings as data; how they generalise is decided here. A later message
overrides an earlier one. Vectors are made from redacted text; values and evidence are the client's own words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from asoe.ai.encoder import Encoder
from asoe.ai.redaction import redact
from asoe.ai.slots.answer import read_answer
from asoe.ai.slots.choice import read_choice
from asoe.ai.slots.clauses import fragments_of, likened
from asoe.ai.slots.consent import Heard, read_consents
from asoe.ai.slots.party import for_another, is_our_own
from asoe.ai.slots.plain import read_plain
from asoe.ai.slots.topic import Topic, topic_of
from asoe.domain.runbook import Consent, Slot, SlotReading

MOST_CHARS: Final = 12_000
OF_CLIENTS: Final = frozenset({"client", "staff"})
FOR_WHOM: Final = frozenset({"own", "other"})
"""A choice between these two is also read by rules: whether somebody writes for somebody else."""


@dataclass(frozen=True, slots=True)
class SlotText:
    """One piece of what was said, oldest first. What a client said (`role` client) is read.

    What staff wrote down as a client's words (`role` staff) is read, too, but gives no consent. What the engine asked (`role`
    engine) is heard for the slots it asks about: the client's next words may just be "yes".
    """

    source: str
    text: str
    role: str = "client"


def read_slots(
    slots: Sequence[Slot],
    passages: Sequence[SlotText],
    *,
    encoder: Encoder,
    language: str = "und",
    beside: Sequence[Slot] = (),
) -> dict[str, SlotReading]:
    """A reading for every slot; `absent` where nothing was said about it.

    `beside`: what else may be consented to in this organization; a whole sentence that is nearer to one of these is not of ours.
    """
    said = [_bounded(passage) for passage in passages if passage.role in OF_CLIENTS and passage.text.strip()]
    answers = _asked_before(slots, passages)
    readings: dict[str, SlotReading] = {}
    by_meaning = [slot for slot in slots if slot.type in ("consent", "choice")]
    if by_meaning and said:
        heard = _hear(said, answers, encoder)
        consents = [topic_of(slot, encoder) for slot in by_meaning if slot.type == "consent"]
        own = [piece for piece, passage in zip(heard, said, strict=True) if passage.role == "client"]
        known = {slot.name for slot in slots}
        others = [topic_of(slot, encoder) for slot in beside if slot.type == "consent" and slot.name not in known]
        readings |= _consents(consents, heard, own, language, encoder=encoder, others=others)
        for slot in by_meaning:
            if slot.type == "consent":
                readings[slot.name] = _as_answered(slot, said, answers, readings[slot.name])
        fragments = [(passage.source, passage.fragments, passage.vectors) for passage in heard]
        readings |= {
            slot.name: read_choice(slot, fragments, encoder, language) for slot in by_meaning if slot.type == "choice"
        }
    for slot in slots:
        if slot.name not in readings:
            readings[slot.name] = _latest(slot, said, language)
        if slot.type == "choice" and {*slot.choices} == FOR_WHOM:
            readings[slot.name] = _for_whom(slot, said, readings[slot.name])
    return readings


def _consents(
    topics: Sequence[Topic],
    heard: Sequence[Heard],
    own: Sequence[Heard],
    language: str,
    *,
    encoder: Encoder,
    others: Sequence[Topic],
) -> dict[str, SlotReading]:
    """Others may pass a refusal on; a yes counts in the client's `own` words only."""
    readings = read_consents(topics, heard, language, encoder=encoder, others=others)
    if len(own) == len(heard):
        return readings
    theirs = read_consents(topics, own, language, encoder=encoder, others=others)
    return {name: theirs[name] if _is_yes(reading) else reading for name, reading in readings.items()}


def _as_answered(
    slot: Slot, said: Sequence[SlotText], answers: Mapping[str, frozenset[str]], reading: SlotReading
) -> SlotReading:
    """A plain answer to the slot's own question counts for what was not read otherwise; who asks back has not agreed."""
    sources = [passage.source for passage in said]
    asked = [passage for passage in said if slot.name in answers[passage.source] and passage.role == "client"]
    if not asked:
        return reading
    last = asked[-1]
    is_later = reading.source in sources and sources.index(reading.source) > sources.index(last.source)
    if is_later and reading.status == "read":
        return reading
    found = read_answer(slot, last.text)
    is_here = reading.source == last.source and reading.status == "read"
    if is_here and not (
        found and _is_yes(reading) and found.amount is not None and found.amount != _amount_of(reading)
    ):
        return reading
    if found is None:
        return reading
    return SlotReading(slot.name, "read", found, last.source, last.text, 0.95)


def _amount_of(reading: SlotReading) -> Decimal | None:
    return reading.value.amount if isinstance(reading.value, Consent) else None


def _is_yes(reading: SlotReading) -> bool:
    return reading.status == "read" and isinstance(reading.value, Consent) and reading.value.status == "given"


def _for_whom(slot: Slot, said: Sequence[SlotText], reading: SlotReading) -> SlotReading:
    """Who says that it is another's matter is taken at their word, unless a later message says otherwise."""
    for passage in reversed(said):
        if passage.source == reading.source and reading.status == "read" and passage.source.startswith("message:"):
            return reading
        evidence = for_another(passage.text)
        if evidence is not None:
            return SlotReading(slot.name, "read", "other", passage.source, evidence, 0.9)
    if reading.value == "other" and is_our_own(reading.evidence):
        return SlotReading(slot.name, "unsure", None, reading.source, reading.evidence, 0.5)
    return reading


def _bounded(passage: SlotText) -> SlotText:
    """Of a very long text its beginning and its end: what is said last counts most."""
    if len(passage.text) <= MOST_CHARS:
        return passage
    text = f"{passage.text[: MOST_CHARS * 3 // 4]}\n{passage.text[-MOST_CHARS // 4 :]}"
    return SlotText(passage.source, text, passage.role)


def _latest(slot: Slot, said: Sequence[SlotText], language: str) -> SlotReading:
    """Free text is only ever an answer: the opening of a ticket is not taken for one."""
    sources = [passage for passage in said if slot.type != "text" or passage.source.startswith("message:")]
    for passage in reversed(sources):
        reading = read_plain(slot, passage.source, passage.text, language)
        if reading is not None:
            return reading
    return SlotReading(slot.name, "absent", confidence=0.9)


def _hear(said: Sequence[SlotText], answers: Mapping[str, frozenset[str]], encoder: Encoder) -> list[Heard]:
    """All fragments of all passages are embedded in one call."""
    redacted = [redact(passage.text) for passage in said]
    pieces = [fragments_of(text.text) for text in redacted]
    vectors = encoder.embed([likened(fragment.text) for fragments in pieces for fragment in fragments])
    ends = np.cumsum([len(fragments) for fragments in pieces])
    return [
        Heard(passage.source, fragments, rows, text, answers.get(passage.source, frozenset()))
        for passage, fragments, rows, text in zip(said, pieces, np.split(vectors, ends[:-1]), redacted, strict=True)
    ]


def _asked_before(slots: Sequence[Slot], passages: Sequence[SlotText]) -> dict[str, frozenset[str]]:
    """By source, the slots whose question the engine put right before the client wrote it."""
    found: dict[str, frozenset[str]] = {}
    asked: frozenset[str] = frozenset()
    for passage in passages:
        if passage.role in OF_CLIENTS:
            found[passage.source], asked = asked, frozenset()
        else:
            asked = frozenset(
                slot.name for slot in slots if any(question in passage.text for question in slot.question.values())
            )
    return found
