"""Resolution: what to do for a ticket now (answer, ask back, hand over, or note that nothing is wanted)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from asoe.ai.glossary import in_english
from asoe.desk import certificate
from asoe.desk.alarm import read_by_meaning
from asoe.desk.context import Desk, policy_of
from asoe.desk.escalation import NEEDS_ACTION, SURE_INTENT, reasons_to_escalate
from asoe.desk.settling import settles, share
from asoe.domain.answer import Answer
from asoe.domain.certificate import Given
from asoe.domain.escalation import Link
from asoe.domain.knowledge import Passage, question_windows
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy
from asoe.domain.ticket import Ticket
from asoe.domain.triage import Triage
from asoe.store import knowledge

MAX_ATTEMPTS: Final = 3
MOST_LINKED: Final = 3
"""Articles that were near and did not answer, of which a person hears."""
NOT_A_QUESTION: Final = frozenset({"thanks_or_feedback", "not_for_us"})
SHORTEST_REQUEST: Final = 4
LEAST_SUPPORT: Final = 0.002
"""Below this an article has nothing to do with the question, whatever else speaks for answering."""
COMPLAINT: Final = "engine_complaint"
WISHES: Final = ("new_feature", "missing_integration")
SURE_WISH: Final = 0.6
BESIDE_A_WISH: Final = frozenset({*WISHES, "how_to", "does_it_exist", "higher_limit"})
"""What a wish may seem to ask for as well; anything else in it, a person sees to."""
LONGEST_NO: Final = 12
"""Words of a reply that says no more than that the answer did not help."""
SURE_VAGUE: Final = 0.45
"""Share from which asking back comes before any search."""


@dataclass(frozen=True, slots=True)
class GiveAnswer:
    """A grounded answer from the knowledge base, and on what it is sent alone."""

    answer: Answer
    given: Given


@dataclass(frozen=True, slots=True)
class AskBack:
    """Too little to go on; asked once."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """A person must look; `reasons` are named in the domain, most telling first. `answer`: one to send if it is right."""

    reasons: tuple[str, ...]
    tried: tuple[str, ...] = ()
    not_done: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    answer: Answer | None = None
    given: Given | None = None
    next_step: str | None = None
    """Where the reasons alone do not tell what is to be done."""
    meant: Mapping[str, float] = field(default_factory=dict)
    """Reasons that were read by meaning alone, with their probabilities."""


@dataclass(frozen=True, slots=True)
class NothingWanted:
    """Thanks or a misdirected text: acknowledged and ended."""


@dataclass(frozen=True, slots=True)
class RecordWish:
    """What the client wants does not exist as far as the articles say: it is written down for the product team."""


Plan: TypeAlias = GiveAnswer | AskBack | HandOver | NothingWanted | RecordWish


@dataclass(frozen=True, slots=True)
class Case:
    """What is known when a plan is chosen. `question` is the client's words so far; `cited` slugs did not help; `said` is new."""

    ticket: Ticket
    triage: Triage | None
    policy: Policy
    question: str
    earlier: Sequence[Ticket] = ()
    attempts: int = 0
    cited: tuple[str, ...] = ()
    has_asked: bool = False
    said: tuple[str, ...] = ()
    is_late: bool = False
    has_met_person: bool = False
    has_wished: bool = False
    searched: list[str] = field(default_factory=list)
    found: list[Passage] = field(default_factory=list)


async def choose(desk: Desk, engine: Principal, case: Case) -> Plan:
    """Choose the plan; reads the knowledge base in a transaction of its own, judges outside of any."""
    ticket, triage, policy = case.ticket, case.triage, case.policy
    meant = await read_by_meaning(desk.ai, case.said)
    reasons = reasons_to_escalate(
        ticket,
        triage,
        policy,
        earlier=case.earlier,
        said=case.said,
        meant=meant,
        is_late=case.is_late,
        has_met_person=case.has_met_person,
    )
    if reasons:
        also = (COMPLAINT,) if is_complaint(case) else ()
        return HandOver((*reasons, *also), not_done=("No answer was sent: a person looks first.",), meant=meant)
    plan = await _choose(desk, engine, case)
    if isinstance(plan, HandOver) and is_complaint(case):
        untaught = "Nothing was learned from it: that takes a person who says what is right."
        return replace(plan, reasons=(COMPLAINT, *plan.reasons), not_done=(*plan.not_done, untaught))
    return plan


async def _choose(desk: Desk, engine: Principal, case: Case) -> Plan:
    triage, policy = case.triage, case.policy
    if not case.question:
        return HandOver(("low_confidence",), not_done=("The ticket has no text to answer.",))
    if triage is None:
        return HandOver(("low_confidence",), not_done=("The ticket could not be judged.",))
    sure = triage.intent.confidence >= SURE_INTENT
    if sure and triage.intent.value in NOT_A_QUESTION and _asks_nothing(triage) and case.attempts == 0:
        return NothingWanted()

    if _is_vague(triage, case) and not case.has_asked and not case.attempts:
        return AskBack()
    answer = await find_answer(desk, engine, case)
    chance = 0.0 if answer is None else settles(triage, answer, case.question)
    if answer is not None and chance >= _threshold(desk, policy):
        return await _sent_or_suggested(desk, engine, case, triage, answer=answer, chance=chance)
    if is_wish(triage, case):
        return RecordWish()
    if case.attempts:
        return HandOver(("answer_did_not_help",), tried=tuple(case.searched), links=_nearest(case))
    if triage.need.value == "action" or (sure and triage.intent.value in NEEDS_ACTION):
        return HandOver(
            ("needs_action",),
            tried=tuple(case.searched),
            not_done=("No act in an outside system: no runbook of this organization covers this.",),
            links=_nearest(case),
        )
    threshold = policy.confidence_threshold or desk.thresholds.confidence
    named = (
        ("no_grounded_answer",) if triage.category.confidence >= threshold else ("low_confidence", "no_grounded_answer")
    )
    unsent = ("No answer was sent: none is supported well enough.",)
    return HandOver(named, tried=tuple(case.searched), not_done=unsent, links=_nearest(case))


async def _sent_or_suggested(
    desk: Desk, engine: Principal, case: Case, triage: Triage, *, answer: Answer, chance: float
) -> GiveAnswer | HandOver:
    """What the organization's trust in answers allows: sending it, or laying it before a person."""
    trust = await certificate.trust_in(
        desk,
        engine,
        case.policy,
        category=case.ticket.category,
        chance=chance,
        model_version=triage.model_version,
    )
    given = certificate.given(trust, chance, answer, triage.model_version)
    if trust != "suggested":
        return GiveAnswer(answer, given)
    return HandOver(
        ("uncertified_answer",),
        tried=tuple(case.searched),
        not_done=("The answer was not sent: a person reads it first.",),
        links=_nearest(case),
        answer=answer,
        given=given,
    )


def _nearest(case: Case) -> tuple[Link, ...]:
    """The articles nearest to what was asked, for the person who writes the answer."""
    found = {passage.article_id: passage.title for passage in case.found}
    return tuple(Link("article", str(key), title) for key, title in list(found.items())[:MOST_LINKED])


async def find_answer(desk: Desk, engine: Principal, case: Case) -> Answer | None:
    """The best supported answer that has not been given before, or None."""
    passages = await _passages(desk, engine, case.question, language=answer_language(case.ticket, case.policy))
    fresh = [passage for passage in passages if passage.slug not in case.cited]
    nearest = "; ".join(f"“{title}”" for title in list(dict.fromkeys(each.title for each in fresh))[:MOST_LINKED])
    case.searched.append(f"Searched the knowledge base; {f'nearest: {nearest}' if nearest else 'no article is near'}.")
    case.found[:] = fresh
    language = answer_language(case.ticket, case.policy)
    return await _compose(desk, case.question, fresh, policy=case.policy, language=language)


async def answer_question(desk: Desk, engine: Principal, question: str, *, language: str) -> Answer | None:
    """An answer to a bare question, as the library and the command line ask it."""
    async with desk.database.org_reading(engine) as connection:
        policy = await policy_of(connection, engine.org_id)
    passages = await _passages(desk, engine, question, language=language)
    # no triage speaks for or against answering here: the article alone must support it
    threshold = _threshold(desk, policy)
    return await _compose(desk, question, passages, policy=policy, language=language, threshold=threshold)


def answer_language(ticket: Ticket, policy: Policy) -> str:
    return ticket.language if ticket.language in policy.languages else policy.default_language


async def _passages(desk: Desk, engine: Principal, question: str, *, language: str) -> list[Passage]:
    embedding = (await desk.ai.embed(question_windows(question))).mean(axis=0)
    async with desk.database.org_reading(engine) as connection:
        return await knowledge.search(
            connection,
            engine.org_id,
            question=question,
            reading=in_english(question),
            embedding=embedding,
            language=language,
            limit=18,
        )


async def _compose(
    desk: Desk,
    question: str,
    passages: Sequence[Passage],
    *,
    policy: Policy,
    language: str,
    threshold: float = LEAST_SUPPORT,
) -> Answer | None:
    if not passages:
        return None
    spoken = language if language in policy.languages else policy.default_language
    return await desk.ai.answer(question, passages, language=spoken, threshold=threshold)


def is_wish(triage: Triage, case: Case) -> bool:
    """Whether the ticket is a wish for the product and nothing else: surely one, by its category and by its intent.

    A higher limit is a contract's matter, and whether something exists a question: those a person answers.
    """
    if case.ticket.category != "feature_request" or case.has_wished or not set(triage.requests[1:]) <= BESIDE_A_WISH:
        return False
    if case.ticket.intent != triage.intent.value:  # a person has said what it is
        return case.ticket.intent in WISHES
    if sum(len(words.split()) for words in case.said) > LONGEST_NO and case.attempts:
        return False  # what else the client says to an answer, a person reads
    return sum(share(triage.intent, intent) for intent in WISHES) >= SURE_WISH


def is_complaint(case: Case) -> bool:
    """Whether the client surely says that the engine itself sorted or answered wrongly."""
    if case.triage is None or case.ticket.intent != case.triage.intent.value:
        return case.ticket.intent == COMPLAINT
    return case.ticket.intent == COMPLAINT and case.triage.intent.confidence >= SURE_INTENT


def _threshold(desk: Desk, policy: Policy) -> float:
    return desk.thresholds.answer if policy.answer_threshold is None else policy.answer_threshold


def _asks_nothing(triage: Triage) -> bool:
    """Ending a ticket needs two witnesses: what it is about, and that nothing is needed."""
    return triage.need.value in {"none", "unknown"}


def _is_vague(triage: Triage, case: Case) -> bool:
    if share(triage.need, "vague") >= SURE_VAGUE:
        return True
    return len(case.question.split()) < SHORTEST_REQUEST and triage.category.confidence < SURE_INTENT
