"""Reads whether a client consents to something, up to which amount, from all they wrote.

A fragment must be about this consent (topic.py) and say yes or no to it (permission.py). What cannot be told is
`unsure`, which counts as absent: a consent read where there is none does harm, a question asked once more does not.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import groupby
from typing import Final, Literal

import numpy as np

from asoe.ai.encoder import Encoder
from asoe.ai.redaction import Redacted
from asoe.ai.slots.amounts import number_of, quantities
from asoe.ai.slots.clauses import Fragment, likened
from asoe.ai.slots.leaning import ABOUT_IT, leans, matter
from asoe.ai.slots.permission import Cue, cue_of, is_someone_elses
from asoe.ai.slots.sentence import Giving, gives, is_another_act, is_withheld, parts_of, refuses_beside
from asoe.ai.slots.topic import ALIKE, COSTLY, Topic, terms_of
from asoe.domain.runbook import Consent, SlotReading

_MORE_WORDS_THAN_A_LIST_ITEM: Final = 7
_LIMITING: Final = re.compile(
    r"\b(?:up to|at most|max|maximum|most|limit\w*|more than|tops|cap|capped|beyond|over|hasta|bis zu|hochstens|jusqu)\b"
)
_JOINED: Final = re.compile(r"^ (?:and|or|nor|und|oder|y|o|et|ou|ni) ")
_CONTRASTS: Final = re.compile(
    r"^ (?:but|however|yet|though|although|while|whereas|except|aber|jedoch|sondern|pero|sino|mais) "
)
_FINITE: Final = re.compile(
    r" (?:is|are|was|were|has|have|had|s|isn|aren|went|goes|keeps|stopped|failed|fails|works?) "
)
_ABOUT_IT: Final = re.compile(
    r" (?:please |just )?\w+ (?:it|them|that|those|this|these|all)(?: away| again| now| please)* "
)
_ARTICLES: Final = frozenset(
    "a an one another single un una uno une ein eine einen einem eins both couple half".split()
)
_SUPPOSES: Final = re.compile(
    r" (?:and |but |or )?(?:if|should|whether|who|whoever|when|unless|had) (?:you|they|he|she|someone|somebody|anyone|anybody)\b"
)
_APART: Final = 0.08
_CONFIDENCE: Final = {"words": 0.97, "amount": 0.93, "meaning": 0.85, "passed on": 0.88}


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing said about a consent. `grade` says what made it be about this consent."""

    polarity: Literal["given", "refused", "unsure"]
    passage: int
    fragment: Fragment
    amount: Decimal | None
    grade: str
    withdraws: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """A passage in fragments with their vectors (a row each). `answers`: the slots that were asked for right before it."""

    source: str
    fragments: Sequence[Fragment]
    vectors: np.ndarray
    redacted: Redacted
    answers: frozenset[str] = frozenset()


def read_consents(
    topics: Sequence[Topic],
    passages: Sequence[Heard],
    language: str,
    *,
    encoder: Encoder,
    others: Sequence[Topic] = (),
) -> dict[str, SlotReading]:
    """Every consent at once, since a fragment about one is not about its siblings, nor a sentence nearer to one of the `others`."""
    said: dict[str, list[Statement]] = {topic.slot.name: [] for topic in topics}
    general: list[tuple[int, Fragment]] = []
    for number, passage in enumerate(passages):
        _Listener(topics, said, general, number=number, passage=passage, language=language).listen()
        _doubt_what_is_not_of_now(said, passage, number=number)
        for topic, sentence in _whole_sentences(topics, others, passage, encoder=encoder, language=language):
            _take(topic, sentence, said[topic.slot.name], number=number)
    readings = {}
    for topic in topics:
        statements = said[topic.slot.name]
        if topic.is_costly:
            statements += [
                Statement("refused", number, fragment, None, "words")
                for number, fragment in general
                if not any(statement.passage == number and statement.polarity == "given" for statement in statements)
            ]
        readings[topic.slot.name] = _decide(
            topic, sorted(statements, key=lambda statement: statement.passage), passages
        )
    return readings


def _doubt_what_is_not_of_now(said: Mapping[str, list[Statement]], passage: Heard, *, number: int) -> None:
    """What was read as given in a sentence about what might be, was, or others hold of it, is in doubt."""
    is_alone = len(said) == 1
    told = {
        sentence: is_withheld(here := list(group)) or (is_alone and refuses_beside(here))
        for sentence, group in groupby(passage.fragments, key=lambda fragment: fragment.sentence)
    }
    for statements in said.values():
        for place, one in enumerate(statements):
            words = one.fragment.words
            # "nichts" and "jamais" in a letter that passes for English
            is_denied = cue_of(words).polarity == "refused"
            is_doubtful = told.get(one.fragment.sentence) or is_another_act(words) or is_denied
            if one.passage == number and one.polarity == "given" and is_doubtful:
                statements[place] = replace(one, polarity="unsure")


def _whole_sentences(
    topics: Sequence[Topic], others: Sequence[Topic], passage: Heard, *, encoder: Encoder, language: str
) -> Iterator[tuple[Topic, list[Fragment]]]:
    """The sentences that give a consent as a whole, each with the one matter it is surely about."""
    matters = frozenset[str]().union(*(matter for topic in topics for matter in topic.matters))
    sentences = [list(group) for _, group in groupby(passage.fragments, key=lambda fragment: fragment.sentence)]
    for place, sentence in enumerate(sentences if topics else ()):
        following = sentences[place + 1] if place + 1 < len(sentences) else []
        way = gives(sentence, following, language, matters=matters)
        is_sure = leans(sentence, following, language)
        if not way and not is_sure:
            continue
        vectors = encoder.embed([likened(text) for text in parts_of(sentence)])
        words = "".join(fragment.words for fragment in sentence)
        told = partial(_told_of, words=words, vectors=vectors, is_english=language == "en")
        meant = _meant(topics, others, partial(told, way=way)) if way else None
        if meant is None and is_sure:
            meant = _meant(topics, others, told)
        if meant is not None:
            yield meant, sentence


def _told_of(topic: Topic, *, words: str, vectors: np.ndarray, is_english: bool, way: Giving = "") -> float:
    """How surely a sentence that gives is about a matter: by the `way` it gives, or by all that is near where it surely gives."""
    if way:
        is_out = way == "by a wish" and not (topic.is_wished or topic.slot.unit)
        return 0.0 if is_out else topic.fit(words, vectors, is_plain=way == "plainly", is_english=is_english)
    likeness = topic.nearness(words, vectors, is_english=is_english)
    share = matter(likeness) if likeness else 0.0
    return share if share >= ABOUT_IT else 0.0


def _meant(topics: Sequence[Topic], others: Sequence[Topic], how: Callable[[Topic], float]) -> Topic | None:
    """The one matter that a sentence is surely about, if it is not nearer to another's."""
    told = sorted(((how(topic), topic) for topic in topics), key=lambda pair: -pair[0])
    share, first = told[0]
    is_one = len(told) == 1 or share - told[1][0] >= _APART
    return first if share and is_one and all(how(other) <= share for other in others) else None


def _take(topic: Topic, sentence: Sequence[Fragment], said: list[Statement], *, number: int) -> None:
    """A sentence that gives as a whole counts for what its fragments left in doubt, not against what they refused."""
    here = [one for one in said if one.passage == number and one.fragment.sentence == sentence[0].sentence]
    polarities = {one.polarity for one in here}
    if polarities == {"given"} or "refused" in polarities:
        return
    for one in here:
        said.remove(one)
    amounts = [amount for fragment in sentence if (amount := _amount(fragment, topic)) is not None]
    amount = min(amounts, default=None) or (_only_number(sentence) if topic.slot.unit else None)
    said.append(Statement("given", number, sentence[-1], amount, "meaning"))


def _only_number(sentence: Sequence[Fragment]) -> Decimal | None:
    """The one number of a sentence that names no unit at all ("add three"); "one" and "a" are seldom numbers."""
    words = "".join(fragment.words for fragment in sentence).split()
    numbers = [number for word in words if word not in _ARTICLES and (number := number_of(word)) is not None]
    return numbers[0] if len(numbers) == 1 and numbers[0] == int(numbers[0]) else None


class _Listener:
    """Goes through one passage's fragments in order, remembering what a bare "yes" or a list item refers to."""

    def __init__(
        self,
        topics: Sequence[Topic],
        said: dict[str, list[Statement]],
        general: list[tuple[int, Fragment]],
        *,
        number: int,
        passage: Heard,
        language: str,
    ) -> None:
        self.topics, self.said, self.general = topics, said, general
        self.number, self.passage, self.language = number, passage, language
        question = Fragment("", " ", -1, is_question=True, begins=True)
        self.asked = [(topic, "words", question) for topic in topics if topic.slot.name in passage.answers]
        self.last: list[Topic] = []
        self.carried: Cue | None = None
        self.sentence = -1
        self.is_held = False
        self.place = 0
        self.heard: list[tuple[Fragment, Cue, list[tuple[Topic, str]]]] = []

    def listen(self) -> None:
        pairs = zip(self.passage.fragments, self.passage.vectors, strict=True)
        self.heard = [self._understood(fragment, vector) for fragment, vector in pairs]
        for place, (fragment, cue, about) in enumerate(self.heard):
            self.place = place
            if fragment.sentence != self.sentence:
                self._new_sentence(fragment)
            self._hear(fragment, cue, about)

    def _new_sentence(self, fragment: Fragment) -> None:
        self.sentence = fragment.sentence
        self.carried = None
        self.is_held = False

    def _understood(self, fragment: Fragment, vector: np.ndarray) -> tuple[Fragment, Cue, list[tuple[Topic, str]]]:
        cue = cue_of(fragment.words, is_question=fragment.is_question, language=self.language)
        literally = [topic for topic in self.topics if topic.is_word_for_word(fragment.words)]
        if (
            literally
            and not _SUPPOSES.match(fragment.words)
            and cue.polarity in {"given", "none"}
            and not (cue.is_open or fragment.is_question)
        ):
            return fragment, Cue("given"), [(topic, "words") for topic in literally]
        about = self._about(fragment, vector, gives=cue.polarity == "given")
        if cue.polarity == "refused" and cue.is_weak:
            about = [
                (topic, how) for topic, how in about if how != "meaning"
            ]  # "no data" complains, it refuses nothing
        orders = cue.polarity == "none" and any(topic.is_ordered_by(fragment) for topic, _ in about)
        return fragment, Cue("given", is_weak=True) if orders and not fragment.is_question else cue, about

    def _hear(self, fragment: Fragment, cue: Cue, about: list[tuple[Topic, str]]) -> None:
        if about:
            self._about_something(fragment, cue, about)
        elif cue.polarity != "none":
            self._bare_cue(fragment, cue)
        elif not fragment.is_question and (meant := self._meant_by_order(fragment)):
            self._say(meant, Cue("given", is_weak=True), fragment, "passed on")
        elif not fragment.is_question:
            self._amount_alone(fragment)
            if _amount(fragment, self.last[0] if self.last else None) is None and fragment.length > 3:
                self.asked = [] if not any(item[2].sentence == fragment.sentence for item in self.asked) else self.asked

    def _about_something(self, fragment: Fragment, cue: Cue, about: list[tuple[Topic, str]]) -> None:
        topics = [topic for topic, _ in about]
        is_amount = cue.polarity == "none" and not fragment.is_question and all(how == "amount" for _, how in about)
        if is_amount and self._amount_alone(fragment):
            return
        if cue.polarity == "none":
            self._named_only(fragment, cue, about)
            return
        joined = [
            item for item in self.asked if item[2].sentence == fragment.sentence and _JOINED.match(fragment.words)
        ]
        for topic, _, earlier in joined:
            if (
                topic not in topics
                and earlier.length <= _MORE_WORDS_THAN_A_LIST_ITEM
                and not _FINITE.search(earlier.words)
            ):
                self._say([(topic, "passed on")], cue, earlier, "passed on")
        asked_here = [item for item in self.asked if item[0] in topics]
        self._say(about, cue, fragment, None, earlier=asked_here[0][2] if asked_here else None)
        self.asked, self.last, self.carried = [], topics, cue

    def _named_only(self, fragment: Fragment, cue: Cue, about: list[tuple[Topic, str]]) -> None:
        """The next item of a list takes the yes or no of the one before, unless one of its own follows."""
        topics = [topic for topic, _ in about]
        inherits = (
            self.carried is not None
            and fragment.length <= _MORE_WORDS_THAN_A_LIST_ITEM
            and not (cue.is_open or fragment.is_question)
            and not _FINITE.search(fragment.words)
            and not _CONTRASTS.match(fragment.words)
            and not self._answer_follows(fragment)
        )
        if not inherits or self.carried is None:
            if not is_someone_elses(fragment.words):
                self.asked = [(topic, grade, fragment) for topic, grade in about] + self.asked[:2]
        elif self.carried.polarity == "given" and set(_names(topics)) & set(_names(self.last)):
            self._amount_alone(fragment)
        else:
            self._say(about, self.carried, fragment, "passed on")
        self.last = topics

    def _meant_by_order(self, fragment: Fragment) -> list[tuple[Topic, str]]:
        """An order about "it" or "them" ("…, delete them") means what has just been named."""
        if not _ABOUT_IT.fullmatch(fragment.words):
            return []
        here = [item for item in self.asked if fragment.sentence - item[2].sentence <= 1 and not item[2].is_question]
        return [(topic, grade) for topic, grade, _ in here[:1] if topic.is_ordered_by(fragment)]

    def _answer_follows(self, fragment: Fragment) -> bool:
        for later, cue, about in self.heard[self.place + 1 :]:
            if later.sentence != fragment.sentence or (about and any(how != "amount" for _, how in about)):
                return False
            if cue.polarity != "none":
                return True
        return False

    def _bare_cue(self, fragment: Fragment, cue: Cue) -> None:
        """A yes or no without a matter of its own: about what was just asked or named, if it is no more than that."""
        if cue.polarity == "unsure":
            self._doubt(fragment, cue)
            return
        here = [item for item in self.asked if fragment.sentence - item[2].sentence <= 1]
        # "our wifi is fine" is short, and answers nothing
        is_short = fragment.length <= _MORE_WORDS_THAN_A_LIST_ITEM
        answers = cue.is_answer or (is_short and (cue.polarity != "given" or not terms_of(fragment.words)))
        same = [item for item in here if item[2].sentence == fragment.sentence]
        is_asked = bool(here) and (here[0][2].is_question or bool(same) or (cue.is_answer and _is_label(here[0][2])))
        if is_asked and answers:
            first = here[0][2]
            chosen = [item for item in here if item[2] == first]
            self._say([(topic, grade) for topic, grade, _ in chosen], cue, fragment, "passed on", earlier=first)
            self.last, self.asked = [topic for topic, _, _ in chosen], []
            self.carried = cue
        elif cue.withdraws and not self.last:
            given = [topic for topic in self.topics if any(s.polarity == "given" for s in self.said[topic.slot.name])]
            self._say([(topic, "passed on") for topic in given], cue, fragment, "passed on")
        elif self.last and (cue.withdraws or (cue.polarity == "refused" and cue.is_answer)):
            self._say([(topic, "passed on") for topic in self.last], cue, fragment, "passed on")
        elif cue.polarity == "refused" and COSTLY.search(fragment.words) and not _FINITE.search(fragment.words):
            self.general.append((self.number, fragment))
        else:
            self._amount_alone(fragment)

    def _doubt(self, fragment: Fragment, cue: Cue) -> None:
        """Doubt takes away what was given right before; a condition also what the sentence goes on to give."""
        self.is_held = self.is_held or cue.holds
        for topic in self.last:
            given = [statement for statement in self.said[topic.slot.name] if statement.polarity == "given"]
            reach = 1 if cue.holds else 0
            if given and given[-1].passage == self.number and fragment.sentence - given[-1].fragment.sentence <= reach:
                self.said[topic.slot.name].append(Statement("unsure", self.number, fragment, None, "passed on"))

    def _amount_alone(self, fragment: Fragment) -> bool:
        """After a consent, "…, max 2 GB" is its amount; so is "make that 1 GB" in a later message. Whether it was one."""
        for topic in self.last or self.topics:
            statements = self.said[topic.slot.name]
            amount = _amount(fragment, topic) or _limit(fragment, topic)
            if amount is None or not statements or statements[-1].polarity != "given":
                continue
            earlier = statements[-1]
            is_later = earlier.passage != self.number
            if not is_later and fragment.sentence - earlier.fragment.sentence > 1:
                continue
            if earlier.amount is None or is_later or _LIMITING.search(fragment.words):
                statements[-1] = Statement("given", earlier.passage, earlier.fragment, amount, earlier.grade)
                return True
        return False

    def _amount_between(self, earlier: Fragment, topic: Topic) -> Decimal | None:
        """What stands between the matter and its yes ("a refill (2 GB at most) is fine")."""
        between = [
            fragment
            for fragment, cue, _ in self.heard[: self.place]
            if fragment.sentence == earlier.sentence and cue.polarity == "none"
        ]
        amounts = [amount for fragment in between if (amount := _amount(fragment, topic)) is not None]
        return amounts[-1] if amounts else None

    def _say(
        self,
        about: Sequence[tuple[Topic, str]],
        cue: Cue,
        fragment: Fragment,
        grade: str | None,
        *,
        earlier: Fragment | None = None,
    ) -> None:
        for topic, how in about:
            if cue.polarity == "given" and cue.after and not topic.is_named(cue.after):
                continue
            if cue.is_wish and not topic.is_wished:
                continue
            amount = _amount(fragment, topic)
            if amount is None and earlier is not None:
                amount = _amount(earlier, topic) or self._amount_between(earlier, topic)
            polarity = "unsure" if cue.polarity == "given" and self.is_held else cue.polarity
            if polarity != "none":
                self.said[topic.slot.name].append(
                    Statement(polarity, self.number, fragment, amount, grade or how, cue.withdraws)
                )

    def _about(self, fragment: Fragment, vector: np.ndarray, *, gives: bool) -> list[tuple[Topic, str]]:
        scored = [(topic, topic.relevance(fragment, vector, gives=gives)) for topic in self.topics]
        named = sorted(
            (item for item in scored if item[1].words > 0), key=lambda item: -(item[1].words + item[1].alike)
        )
        if any(found.has_amount for _, found in named):
            named = [item for item in named if item[1].has_amount or len(item[1].matched) > 1]
        if named:
            first = named[0][1]
            also = [
                (topic, found) for topic, found in named[1:] if found.words >= 1.0 and not found.matched & first.matched
            ]
            return [(topic, "words" if found.matched else "amount") for topic, found in [named[0], *also]]
        if _ABOUT_IT.fullmatch(fragment.words):
            return []  # what "it" is stands elsewhere
        alike = sorted(scored, key=lambda item: -item[1].alike)
        if (
            alike
            and alike[0][1].alike >= ALIKE
            and (len(alike) == 1 or alike[0][1].alike - alike[1][1].alike >= _APART)
        ):
            return [(alike[0][0], "meaning")]
        return []


def _is_label(fragment: Fragment) -> bool:
    return fragment.length <= _MORE_WORDS_THAN_A_LIST_ITEM and not _FINITE.search(fragment.words)


def _amount(fragment: Fragment, topic: Topic | None) -> Decimal | None:
    """The amount a fragment names; of several, the limit, else the largest joined by "or", else the smallest."""
    if topic is None or not topic.slot.unit:
        return None
    found = quantities(fragment.text, topic.slot.unit)
    return min((quantity.value for quantity in found), default=None)


def _limit(fragment: Fragment, topic: Topic) -> Decimal | None:
    """A bare number beside a word of limiting ("limit two")."""
    if not topic.slot.unit or not _LIMITING.search(fragment.words) or fragment.length > _MORE_WORDS_THAN_A_LIST_ITEM:
        return None
    numbers = [number for word in fragment.words.split() if (number := number_of(word)) is not None]
    return numbers[0] if len(numbers) == 1 else None


def _names(topics: Sequence[Topic]) -> list[str]:
    return [topic.slot.name for topic in topics]


def _decide(topic: Topic, statements: Sequence[Statement], passages: Sequence[Heard]) -> SlotReading:
    """The latest message that says anything counts; contradictions within one are `unsure`."""
    name = topic.slot.name
    if not statements:
        return SlotReading(name, "absent", confidence=0.9)
    latest = max(statement.passage for statement in statements)
    now = [statement for statement in statements if statement.passage == latest]
    last = now[-1]
    polarities = {statement.polarity for statement in now}
    source = passages[last.passage].source
    evidence = passages[last.passage].redacted.restore(last.fragment.text)
    if last.withdraws or polarities == {"refused"}:
        return SlotReading(name, "read", Consent("refused", unit=topic.slot.unit), source, evidence, 0.95)
    if polarities != {"given"}:
        return SlotReading(name, "unsure", None, source, evidence, 0.5)
    amounts = [statement.amount for statement in now if statement.amount is not None]
    amount = amounts[-1] if amounts else None
    confidence = max(_CONFIDENCE.get(statement.grade, 0.85) for statement in now)
    return SlotReading(name, "read", Consent("given", amount, topic.slot.unit), source, evidence, confidence)
