"""Which published runbooks a ticket is for: what its text asks, by meaning and clause by clause; none, when unsure.

A ticket may complain of several things, so there may be several. One that fits less surely is only worth a look: it comes
after the sure one, and only when it can find out by itself, without asking the client for anything.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Final, TypeAlias
from uuid import UUID

import numpy as np

from asoe.ai.slots.clauses import BEGINNINGS, fragments_of, plain_words
from asoe.ai.slots.permission import fails
from asoe.desk.context import Desk
from asoe.desk.runbook import chance
from asoe.desk.runbook.expressions import ExpressionError, decide
from asoe.desk.runbook.shelf import Shelved
from asoe.desk.runbook.spelling import well_spelled
from asoe.domain.policy import Looks
from asoe.domain.runbook import Match
from asoe.domain.ticket import Ticket
from asoe.domain.triage import Estimate, Triage
from asoe.store.runs import Client

LEAST: Final = 0.55
ABOUT: Final = 0.25
ABOUT_AT_ALL: Final = 0.35
MARGIN: Final = 0.03
WORTH_A_LOOK: Final = 0.4
LOOKS_A_CLAUSE: Final = 3
MOST_LOOKS: Final = 10
LAST_LOOK: Final = 0.15
MOST_LAST_LOOKS: Final = 24
AS_WELL: Final = 0.1
MOST_KNOWN: Final = 20_000
Likeness: TypeAlias = Mapping[str, np.ndarray]
MOST_CLAUSES: Final = 16
MOST_PIECES: Final = 24
SURE: Final = 0.6
LEAST_TOLD: Final = 3
"""Words after "also," or "second problem:" that tell anything."""
LIKE_A_COMPLAINT: Final = 0.45
BEHIND: Final = 0.1
"""How much nearer another runbook may be to a sentence before what mended something no longer explains it."""
_INTENT, _CATEGORY, _INFORMATION = 0.15, 0.05, 0.15
_IDENTIFIER = re.compile(r"\S*@\S+|\S*\d[\d-]{4,}\S*")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w-]+|^[A-Z][\w-]+(?= (?:has|had|is|was|does|holds|shows|contains|sends) )")
_ANNOUNCED = re.compile(
    r"^(?:(?:(?:and|but) )?(?:then )?(?:one|another|a (?:second|third|further|different|last)) (?:more |other |further |last )?(?:thing|problem|issue|point|matter|trouble|question)"
    r"|(?:and )?(?:also|besides|moreover|furthermore|additionally)|in addition(?: to (?:that|this))?|on top of (?:that|this|it all|all (?:that|this))|(?:apart|aside) from (?:that|this)|beyond (?:that|this)"
    r"|(?:and )?what(?:['’]s| is) more|as if (?:that|this) (?:was|were|wasn['’]t|weren['’]t)(?: not)? enough|to make (?:things|matters) worse|to top it (?:all )?off|while (?:i am|i['’]m|we are|we['’]re) at it"
    r"|then there(?:['’]s| is)|not only that|(?:second|third)(?:ly)?(?: problem| issue| thing)?|finally|lastly|last but not least|on another note|separately|further(?=[:,])|next(?=[:,])|plus(?=[:,])|likewise(?=[:,])"
    r"|außerdem|zudem|ferner|darüber hinaus|hinzu kommt|zweitens|drittens|und noch etwas|noch etwas|weiterhin(?=[:,])|además|también|otra cosa|por otra parte|en outre|de plus|autre chose|par ailleurs|ensuite(?=[:,])|\d[.)]|[-*•])"
    r"(?=\W)\s?[:,]?\s*",
    re.IGNORECASE,
)
# how hard it was to get hold of us is no further matter
_OF_US = re.compile(
    r"\b(?:reach|get (?:hold of|through to|hold)|call|catch|speak (?:to|with)|talk to) (?:any|some|no)(?:one|body|-one)\b|\b(?:hotline|phone line|callback)\b",
    re.IGNORECASE,
)
_BREAK = (
    rf"\n+|(?<=[a-z])\s+(?=(?:{BEGINNINGS})\b)"
    r"|(?<=\w)\s+(?=(?i:and one more thing|on top of that|(?:second|another|one more|a further) (?:problem|thing|issue|point)):)"
)
_CLAUSE_END = re.compile(rf"(?<=[.!?;])\s+|{_BREAK}")
_SENTENCE_END = re.compile(rf"(?<=[.!?])\s+|{_BREAK}")


@dataclass(frozen=True, slots=True)
class Matched:
    """The runbook, and how well it fits, or how likely it finds what is the matter (about 0..1)."""

    runbook_id: UUID
    score: float


async def best(
    desk: Desk,
    shelved: Sequence[Shelved],
    *,
    ticket: Ticket,
    triage: Triage | None,
    question: str,
    client: Client,
) -> Matched | None:
    """The one runbook that fits; None when none fits well enough, or two fit alike."""
    open_to_it = _open_to(shelved, ticket, client)
    return _best(open_to_it, await _likeness(desk, open_to_it, question), triage) if open_to_it else None


async def fitting(
    desk: Desk,
    shelved: Sequence[Shelved],
    *,
    ticket: Ticket,
    triage: Triage | None,
    question: str,
    client: Client,
    is_last: bool = False,
    besides: Container[str] = (),
    in_order: Sequence[str] = (),
    looks: Looks | None = None,
) -> list[Matched]:
    """The runbook that fits first, then those for what else is complained of and those worth a look, best first.

    `is_last`: all that can find out by themselves and are not unlike the text altogether, before a person must look; with
    `besides` (ids of what mended something) only those that explain a sentence about as well, before anything is called fixed.
    `in_order` (ids): what has looked and found nothing to mend; under `looks` only so many do, and none that hardly helps.
    """
    open_to_it = _open_to(shelved, ticket, client)
    if not open_to_it or (looks is not None and len(in_order) >= looks.at_most):
        return []
    likeness = await _likeness(desk, open_to_it, question)
    if is_last and besides:
        found = await _explaining_as_well(desk, open_to_it, question, besides)
    elif is_last:
        found = _worth_a_last_look(open_to_it, likeness, triage)
    else:
        sure = _best(open_to_it, likeness, triage)
        others = _worth_a_look(open_to_it, likeness, triage)
        found = [sure, *(each for each in others if each.runbook_id != sure.runbook_id)] if sure else others
    if looks is None or (not in_order and not is_last):
        return found
    chances = _chances(open_to_it, likeness, in_order)
    likely = [replace(each, score=chances[each.runbook_id]) for each in found]
    return sorted(
        (each for each in likely if each.score >= looks.least_chance), key=lambda each: -each.score if is_last else 0
    )


async def likeliest(desk: Desk, shelved: Sequence[Shelved], question: str, *, in_order: Sequence[str]) -> list[Matched]:
    """How likely each runbook finds what is the matter, once some (ids) have looked and found all in order; best first."""
    if not shelved:
        return []
    chances = _chances(shelved, await _likeness(desk, shelved, question), in_order)
    return sorted((Matched(one, share) for one, share in chances.items()), key=lambda each: -each.score)


async def at_clauses(desk: Desk, shelved: Sequence[Shelved], question: str) -> dict[UUID, np.ndarray]:
    """How well each runbook fits each clause of what is asked (0..1)."""
    return _at_clauses(shelved, await _likeness(desk, shelved, question))


async def left_over(
    desk: Desk, shelved: Sequence[Shelved], question: str, *, mended: Container[str], in_order: Container[str] = ()
) -> list[str]:
    """Sentences that complain, by their words or by what they are like, of what none of the runbooks that `mended` something (ids)
    seems to be about, as far as another that has not found all `in_order` (ids) is not much nearer to it.

    What was mended and no sentence seems to be about is what one of them meant.
    """
    found, explains = [], set()
    for sentence in _SENTENCE_END.split(question):
        scores = await _scores(desk, shelved, _ANNOUNCED.sub("", sentence.strip()))
        unlooked = max((score for each, score in scores.items() if each not in in_order), default=0.0)
        nearest = sorted(((score, each) for each, score in scores.items()), reverse=True)
        about = {
            each
            for place, (score, each) in enumerate(nearest)
            if each in mended
            and score >= (max(ABOUT, unlooked - BEHIND) if place < LOOKS_A_CLAUSE else max(ABOUT_AT_ALL, unlooked))
        }
        explains |= about
        if not scores or about:
            continue
        is_like_one = unlooked >= LIKE_A_COMPLAINT and unlooked > await _likest_answer(desk, shelved, sentence.strip())
        if is_like_one or _complains(sentence.strip()):
            found.append(sentence.strip())
    meant = sum(str(each.runbook_id) in mended and str(each.runbook_id) not in explains for each in shelved)
    return found[meant:]


async def _likest_answer(desk: Desk, shelved: Sequence[Shelved], sentence: str) -> float:
    """How like it is to what clients say to a slot: whoever agrees to something complains of nothing."""
    slots = [slot for each in shelved for slot in each.runbook.slots if slot.type in {"consent", "choice"}]
    told = [text for slot in slots for said in slot.examples.values() for text in said]
    likeness = await _likeness_of(desk, told, sentence)
    return max((float(row.max()) for row in likeness.values()), default=0.0)


def _complains(sentence: str) -> bool:
    told = _ANNOUNCED.sub("", sentence)
    if told != sentence and len(told.split()) >= LEAST_TOLD:
        return True
    return fails(plain_words(sentence)) and not _OF_US.search(sentence)


async def _scores(desk: Desk, shelved: Sequence[Shelved], sentence: str) -> dict[str, float]:
    """How well each runbook (id) fits the best of a sentence's clauses; empty when no runbook has phrases."""
    likeness = await _likeness(desk, shelved, sentence)
    clauses = range(max((row.size for row in likeness.values()), default=0))
    if not clauses:
        return {}
    return {
        str(each.runbook_id): max(_at_clause(each.runbook.match, likeness, clause) for clause in clauses)
        for each in shelved
    }


def _open_to(shelved: Sequence[Shelved], ticket: Ticket, client: Client) -> list[Shelved]:
    names = {"ticket": names_of_ticket(ticket), "contact": names_of_client(client)}
    return [each for each in shelved if _applies(each.runbook.match, names)]


def _best(shelved: Sequence[Shelved], likeness: Likeness, triage: Triage | None) -> Matched | None:
    highest = {phrase: float(row.max()) for phrase, row in likeness.items()}
    scored = sorted(
        ((_score(each.runbook.match, highest, triage), each) for each in shelved), key=lambda pair: -pair[0]
    )
    top, chosen = scored[0]
    if top < LEAST or (len(scored) > 1 and top - scored[1][0] < MARGIN):
        return None
    return Matched(chosen.runbook_id, top)


def _worth_a_look(shelved: Sequence[Shelved], likeness: Likeness, triage: Triage | None) -> list[Matched]:
    """Those that one of the clauses is most like; a question for information is less of a complaint."""
    silent = [each for each in shelved if not any(slot.is_required for slot in each.runbook.slots)]
    less = _INFORMATION * max(0.0, _share(triage.need, "information") - 0.5) if triage else 0.0
    first: dict[UUID, float] = {}
    further: dict[UUID, float] = {}
    for clause in range(max((row.size for row in likeness.values()), default=0)):
        scores = [(_at_clause(each.runbook.match, likeness, clause) - less, each.runbook_id) for each in silent]
        near = sorted((pair for pair in scores if pair[0] >= WORTH_A_LOOK), key=lambda pair: -pair[0])
        for place, (score, runbook_id) in enumerate(near[:LOOKS_A_CLAUSE]):
            looks = further if place else first
            looks[runbook_id] = max(score, looks.get(runbook_id, 0.0))
    ordered = sorted(first.items(), key=lambda pair: -pair[1])
    ordered += sorted(((one, score) for one, score in further.items() if one not in first), key=lambda pair: -pair[1])
    return [Matched(runbook_id, score) for runbook_id, score in ordered[:MOST_LOOKS]]


def _worth_a_last_look(shelved: Sequence[Shelved], likeness: Likeness, triage: Triage | None) -> list[Matched]:
    silent = [each for each in shelved if not any(slot.is_required for slot in each.runbook.slots)]
    less = _INFORMATION * max(0.0, _share(triage.need, "information") - 0.5) if triage else 0.0
    found = [
        Matched(
            each.runbook_id, max((float(likeness[phrase].max()) for phrase in each.runbook.match.phrases), default=0.0)
        )
        for each in silent
    ]
    near = [one for one in found if one.score - less >= LAST_LOOK]
    return sorted(near, key=lambda one: -one.score)[:MOST_LAST_LOOKS]


async def _explaining_as_well(
    desk: Desk, shelved: Sequence[Shelved], question: str, besides: Container[str]
) -> list[Matched]:
    """Of each sentence the few that are as like it as what mended something, or nearly."""
    silent = {
        str(each.runbook_id): each for each in shelved if not any(slot.is_required for slot in each.runbook.slots)
    }
    found: dict[UUID, float] = {}
    for sentence in _SENTENCE_END.split(question):
        scores = await _scores(desk, shelved, _ANNOUNCED.sub("", sentence.strip()))
        mended = max((score for each, score in scores.items() if each in besides), default=0.0)
        near = sorted(((score, each) for each, score in scores.items() if each not in besides), reverse=True)
        for score, each in near[:LOOKS_A_CLAUSE]:
            if each in silent and score >= max(ABOUT, mended - AS_WELL):
                found[silent[each].runbook_id] = max(score, found.get(silent[each].runbook_id, 0.0))
    return [Matched(one, score) for one, score in sorted(found.items(), key=lambda pair: -pair[1])[:MOST_LOOKS]]


def _chances(shelved: Sequence[Shelved], likeness: Likeness, in_order: Container[str]) -> dict[UUID, float]:
    rows = _at_clauses(shelved, likeness)
    told = chance.of_each(np.stack(list(rows.values())), [str(each) in in_order for each in rows])
    return {each: float(share) for each, share in zip(rows, told, strict=True)}


def _at_clauses(shelved: Sequence[Shelved], likeness: Likeness) -> dict[UUID, np.ndarray]:
    clauses = range(max((row.size for row in likeness.values()), default=0))
    return {
        each.runbook_id: np.array([_at_clause(each.runbook.match, likeness, clause) for clause in clauses])
        for each in shelved
    }


def _at_clause(match: Match, likeness: Likeness, clause: int) -> float:
    score = max((float(likeness[phrase][clause]) for phrase in match.phrases), default=0.0)
    unlike = max((float(likeness[phrase][clause]) for phrase in match.unlike), default=0.0)
    return score if score > unlike else 0.0


def _score(match: Match, likeness: Mapping[str, float], triage: Triage | None) -> float:
    score = max((likeness[phrase] for phrase in match.phrases), default=0.0)
    if match.unlike and max(likeness[phrase] for phrase in match.unlike) >= score:
        return 0.0
    if triage is None:
        return score
    if triage.intent.value in match.intents:
        score = max(score, 0.45) + _INTENT * triage.intent.confidence
    if match.categories:
        agrees = triage.category.value in match.categories
        if agrees or triage.category.confidence >= SURE:
            score += _CATEGORY if agrees else -_CATEGORY
    return score - _INFORMATION * max(0.0, _share(triage.need, "information") - 0.5)


def _applies(match: Match, names: Mapping[str, Any]) -> bool:
    if match.when is None:
        return True
    try:
        return decide(match.when, dict(names))
    except ExpressionError:
        return False


async def _likeness(desk: Desk, shelved: Sequence[Shelved], question: str) -> Likeness:
    """Each phrase's likeness (cosine) to every clause."""
    told = [text for each in shelved for text in (*each.runbook.match.phrases, *each.runbook.match.unlike)]
    return await _likeness_of(desk, told, question)


async def _likeness_of(desk: Desk, told: Sequence[str], question: str) -> Likeness:
    phrases = list(dict.fromkeys(told))
    clauses = [well_spelled(clause, tuple(phrases)) for clause in _clauses(question)]
    if not phrases or not clauses:
        return {phrase: np.zeros(1, dtype=np.float32) for phrase in phrases}
    known = desk.phrases
    unknown = [phrase for phrase in phrases if phrase not in known]
    vectors = np.asarray(await desk.ai.embed([*unknown, *clauses]))
    fresh = dict(zip(unknown, vectors, strict=False))
    said = vectors[len(unknown) :].T
    likeness = {phrase: (fresh[phrase] if phrase in fresh else known[phrase]) @ said for phrase in phrases}
    if len(known) + len(fresh) > MOST_KNOWN:
        known.clear()
    known.update(fresh)
    return likeness


def _clauses(question: str) -> list[str]:
    """Sentences, neighbors together (a symptom often takes two), and what stands between commas: notes name many things.

    Numbers and addresses are left out, and a name is tried without: who or what it is says nothing of what is wrong.
    """
    parts = [part.strip() for part in _CLAUSE_END.split(question) if len(part.split()) > 1][:MOST_CLAUSES]
    pairs = [f"{first} {second}" for first, second in pairwise(parts)]
    pieces = [piece.text for piece in fragments_of(question)[:MOST_PIECES]]
    unnamed = [_NAME.sub("it", part) for part in parts if len(_NAME.findall(part)) == 1]
    bare = dict.fromkeys(_bare(text) for text in (*parts, *pairs, *pieces, *unnamed))
    return [text for text in bare if len(text.split()) > 1] or [question.strip()]


def _bare(text: str) -> str:
    return _IDENTIFIER.sub(" ", text).strip(" ,;:.-–—/")


def _share(estimate: Estimate, value: str) -> float:
    if estimate.value == value:
        return estimate.confidence
    return next((share for other, share in estimate.alternatives if other == value), 0.0)


def names_of_ticket(ticket: Ticket) -> dict[str, Any]:
    """What expressions see as `ticket`."""
    return {
        "number": ticket.number,
        "subject": ticket.subject,
        "body": ticket.body or ticket.text,
        "category": ticket.category,
        "severity": ticket.severity,
        "intent": ticket.intent or "",
        "language": ticket.language,
        "channel": ticket.channel,
        "metadata": ticket.metadata,
    }


def names_of_client(client: Client) -> dict[str, str]:
    """What expressions see as `contact`."""
    return {name: value or "" for name, value in asdict(client).items() if name != "key"}
