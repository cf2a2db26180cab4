"""Makes the cases: what is broken at whom, what the client writes, and what a perfect desk ends in.

One customer a case, so that all cases live in one estate at once. The same seed and number make the same cases, ids included.
Policy and symptoms are the estate's; the words are ours (`wordings.yaml`; of the part held `held.yaml` alone). Playing them is the
runner's job.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import cycle
from pathlib import Path
from string import Formatter
from typing import Any, Final, Literal, get_args

import yaml

from asoe.demo.estate.breaking import Breakage, allowed_effects, break_it, can_break
from asoe.demo.estate.faults import FAULTS, Fault
from asoe.demo.estate.seed import seed as seed_estate
from asoe.demo.estate.store import Item, Store, open_store

# `all` is dev and test; `voices` is for development, too; `fresh` has complaints and consents of its own; `held` has words of its own, and no others.
Part = Literal["all", "dev", "test", "voices", "fresh", "held"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)


@cache
def read_words(file: str) -> dict[str, Any]:
    """The lines of a file beside this one, by what they are for."""
    words: dict[str, Any] = yaml.safe_load(Path(__file__).with_name(file).read_text(encoding="utf-8"))
    return words


WORDINGS: Final = read_words("wordings.yaml")
VOICES: Final = read_words("voices.yaml")
FOREIGN: Final = 0.25
"""How many of the letters in other voices are in another language, where it has words for all that is told."""

# Of fifty cases in a row; shuffled. Two thirds can be mended.
MIX: Final = {
    "one_fault": 17,
    "two_faults": 10,
    "three_faults": 6,
    "consent_missing": 5,
    "cannot_be_mended": 4,
    "mixed": 1,
    "nothing_broken": 2,
    "not_theirs": 2,
    "flagged": 1,
    "over_cap": 2,
}
# What somebody may complain about although nothing is broken; never what a person must look at anyway.
HARMLESS: Final = tuple(symptom for symptom in WORDINGS["symptoms"] if symptom != "strange_sign_in")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a perfect desk ends in. `must_mend` ⊆ `may_mend` are places in `breakages`; `groups` are reasons, any of which is right."""

    statuses: tuple[str, ...]
    groups: tuple[str, ...]
    must_mend: tuple[int, ...]
    may_mend: tuple[int, ...]
    may_check_pin: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One ticket of one client and the truth behind it."""

    id: str
    kind: str
    account_id: str
    contact_email: str
    contact_name: str
    user_id: str | None
    subject: str
    body: str
    breakages: tuple[Breakage, ...]
    victim_user_id: str | None
    flagged: bool
    expected: Expected
    agreed: tuple[str, ...] = ()
    """What the client has consented to, and says again when asked; to all else they say no."""
    language: str = "en"

    @property
    def accounts(self) -> set[str]:
        """Whose effects count as this case's."""
        return {self.account_id, *(breakage.account_id for breakage in self.breakages)}

    def allowed(self) -> list[tuple[str, str]]:
        """(operation, item id) of the effects that are right."""
        found = [effect for place in self.expected.may_mend for effect in allowed_effects(self.breakages[place])]
        if self.expected.may_check_pin and self.user_id is not None:
            found.append(("identity_checks.make", self.user_id))
        return found


def customers_for(n: int) -> int:
    """How many customers an estate for n cases needs; some stay out of every case."""
    return n * 5 // 4 + 24


def prepare(store: Store, seed: int, n: int) -> None:
    """Fill an empty estate for `iter_cases(seed, n)`."""
    seed_estate(store, seed, customers=customers_for(n))


def iter_cases(seed: int, n: int, *, part: Part = "all") -> Iterator[Case]:
    """The cases of a seed; `part` takes only the wordings kept for development, for tests, or held back."""
    store = open_store()
    prepare(store, seed, n)
    try:
        yield from _Maker(store, seed, part).make(n)
    finally:
        store.close()


def apply(case: Case, store: Store) -> None:
    """Break a prepared estate for a case (once, before its ticket is sent)."""
    if store.seed_number() != int(case.id.partition("-")[0]):
        raise ValueError(f"{case.id}: the estate holds the customers of seed {store.seed_number()}")
    for place, told in enumerate(case.breakages):
        made = break_it(
            store, told.fault, told.account_id, user_id=case.victim_user_id, chance=random.Random(f"{case.id}/{place}")
        )
        if made != told:
            raise ValueError(f"{case.id}: the estate was not prepared for this case, or has it already")
    if case.flagged:
        _flag(store, case.account_id)


def _flag(store: Store, account_id: str) -> None:
    with store.transaction():
        store.change("accounts", account_id, fraud_flag=True)


@dataclass(slots=True)
class _Plan:
    """A case in the making: whom it is about, what breaks, what is said and agreed to."""

    kind: str
    faults: list[Fault]
    expected_statuses: tuple[str, ...] = ("fixed",)
    groups: tuple[str, ...] = ()
    must: list[int] = field(default_factory=list)
    may: list[int] = field(default_factory=list)
    agreed: set[str] = field(default_factory=set)
    evades: bool = False
    wrong_pin: bool = False


class _Maker:
    """Deals faults and customers in turn, so that every fault comes up, and lets chance choose the rest."""

    def __init__(self, store: Store, seed: int, part: Part) -> None:
        self.store = store
        self.seed = seed
        self.part = part
        order = random.Random(f"order/{seed}")
        self.accounts: list[str] = [account["id"] for account in store.find("accounts")]
        order.shuffle(self.accounts)
        mendable = [fault for fault in FAULTS.values() if fault.is_mendable]
        over_cap = [fault for fault in FAULTS.values() if fault.group == ("over_cap",)]
        hopeless = [fault for fault in FAULTS.values() if not fault.is_mendable and fault not in over_cap]
        with_consent = [fault for fault in mendable if fault.consent]
        for pile in (mendable, over_cap, hopeless, with_consent):
            order.shuffle(pile)
        self.mendable = mendable
        self.turns = {
            "mendable": cycle(mendable),
            "flagged": cycle(reversed(mendable)),
            "over_cap": cycle(over_cap),
            "hopeless": cycle(hopeless),
            "mixed": cycle([fault for fault in hopeless if not {"security", "nothing_wrong"} & set(fault.group)]),
            "consent": cycle(with_consent),
        }
        self.order = order

    def make(self, n: int) -> Iterator[Case]:
        kinds: list[str] = []
        while len(kinds) < n:
            fifty = [kind for kind, times in MIX.items() for _ in range(times)]
            self.order.shuffle(fifty)
            kinds += fifty
        for index, kind in enumerate(kinds[:n]):
            chance = random.Random(f"{self.seed}/{index}")
            yield self._case(f"{self.seed}-{index:04d}", kind, chance)

    def _case(self, case_id: str, kind: str, chance: random.Random) -> Case:
        if kind == "not_theirs":
            return self._not_theirs(case_id, chance)
        plan = self._plan(kind, chance)
        account_id = self._take([fault.name for fault in plan.faults])
        users = self.store.find("users", account_id=account_id, status="active")
        user = users[0] if chance.random() < 0.6 else users[1]
        breakages = tuple(
            break_it(self.store, fault.name, account_id, user_id=user["id"], chance=random.Random(f"{case_id}/{place}"))
            for place, fault in enumerate(plan.faults)
        )
        if kind == "flagged":
            _flag(self.store, account_id)
        told = _Teller(chance, self.part, breakages)
        body = told.body(plan, breakages, user)
        return Case(
            id=case_id,
            kind=kind,
            account_id=account_id,
            contact_email=user["email"],
            contact_name=user["name"],
            user_id=user["id"],
            subject=told.pick(told.words["subjects"]),
            body=body,
            breakages=breakages,
            victim_user_id=user["id"],
            flagged=kind == "flagged",
            agreed=tuple(sorted(plan.agreed)),
            language=told.language,
            expected=Expected(
                statuses=plan.expected_statuses,
                groups=plan.groups,
                must_mend=tuple(plan.must),
                may_mend=tuple(plan.may),
                may_check_pin=plan.wrong_pin,
            ),
        )

    def _plan(self, kind: str, chance: random.Random) -> _Plan:
        if kind in {"one_fault", "two_faults", "three_faults"}:
            faults = self._compatible(
                [next(self.turns["mendable"])], ("one_fault", "two_faults", "three_faults").index(kind), chance
            )
            everything = list(range(len(faults)))
            agreed = {fault.consent for fault in faults if fault.consent}
            if chance.random() < 0.2:
                agreed |= _needless(faults[0])
            return _Plan(kind, faults, must=everything, may=everything, agreed=agreed)
        if kind == "consent_missing":
            fault = next(self.turns["consent"])
            wrong_pin = fault.consent == "identity" and chance.random() < 0.5
            also = self._compatible([fault], 1, chance)[1:] if chance.random() < 0.3 else []
            also = [other for other in also if not other.consent]
            groups = ("needs_consent", "security") if fault.consent == "identity" else ("needs_consent",)
            return _Plan(
                kind,
                [fault, *also],
                ("escalated",),
                groups,
                may=list(range(1, 1 + len(also))),
                evades=chance.random() < 0.5,
                wrong_pin=wrong_pin,
            )
        if kind in {"cannot_be_mended", "over_cap"}:
            fault = next(self.turns["over_cap" if kind == "over_cap" else "hopeless"])
            is_fine = "nothing_wrong" in fault.group
            agreed = _needless(fault) if chance.random() < 0.4 else set()
            if fault.name == "seats_full_asks_too_many":
                agreed = {"pay_for_seats"}
            return _Plan(
                kind, [fault], ("escalated", "answered") if is_fine else ("escalated",), fault.group, agreed=agreed
            )
        if kind == "mixed":
            hopeless = next(self.turns["mixed"])
            plain = [fault for fault in self._compatible([hopeless], 2, chance)[1:] if not fault.consent][:1]
            return _Plan(kind, [hopeless, *plain], ("escalated",), hopeless.group, may=list(range(1, 1 + len(plain))))
        if kind == "flagged":
            fault = next(self.turns["flagged"])
            agreed = {fault.consent} if fault.consent else set()
            return _Plan(kind, [fault], ("escalated",), ("security",), agreed=agreed)
        return _Plan(kind, [], ("escalated", "answered"), ("nothing_wrong", "cannot_fix"))

    def _compatible(self, faults: list[Fault], more: int, chance: random.Random) -> list[Fault]:
        """The faults and some more mendable ones that can stand beside them at one customer."""
        chosen = list(faults)
        pile = chance.sample(self.mendable, len(self.mendable))
        for fault in pile:
            if len(chosen) > more:
                break
            taken = {slot for other in chosen for slot in other.slot.split("+")}
            if taken & set(fault.slot.split("+")) or not self._anybody([*chosen, fault]):
                continue
            chosen.append(fault)
        return chosen

    def _anybody(self, faults: list[Fault]) -> bool:
        return any(
            all(can_break(self.store, fault.name, account_id) for fault in faults) for account_id in self.accounts
        )

    def _take(self, faults: list[str]) -> str:
        """The next customer that can have these faults and is in no case yet."""
        for account_id in self.accounts:
            if all(can_break(self.store, fault, account_id) for fault in faults):
                self.accounts.remove(account_id)
                return account_id
        raise ValueError(f"no customer is left for {faults}")

    def _not_theirs(self, case_id: str, chance: random.Random) -> Case:
        """Somebody writes about another company, about a colleague, or is nobody we know."""
        form = chance.choice(("other", "other", "other", "colleague", "colleague", "stranger"))
        of_users = [fault for fault in self.mendable if fault.slot in {"user", "mail"} and not fault.consent]
        fault = chance.choice(of_users if form == "colleague" else [one for one in self.mendable if not one.consent])
        victim_account = self._take([fault.name])
        writer_account = self._take([]) if form == "other" else victim_account
        victim = self.store.find("users", account_id=victim_account, status="active")[0]
        breakage = break_it(
            self.store, fault.name, victim_account, user_id=victim["id"], chance=random.Random(f"{case_id}/0")
        )
        writer: Item | None = None
        if form != "stranger":
            writer = self.store.find("users", account_id=writer_account, status="active")[1]
        told = _Teller(chance, self.part)
        what = told.symptom(breakage)
        if form == "stranger":
            body = told.letter([f"{what} We are customers of yours for long."], "A. Nonymous")
        else:
            lines = told.words["of_colleagues" if form == "colleague" else "of_others"]
            other = self.store.need("accounts", victim_account)["name"]
            said = chance.choice(lines).format(other=other, other_user=victim["email"], what=what)
            body = told.letter([said], "" if writer is None else writer["name"])
        return Case(
            id=case_id,
            kind="not_theirs",
            account_id=writer_account,
            contact_email=f"someone.{case_id}@elsewhere.example" if writer is None else writer["email"],
            contact_name="A. Nonymous" if writer is None else writer["name"],
            user_id=None if writer is None else writer["id"],
            subject=told.pick(told.words["subjects"]),
            body=body,
            breakages=(breakage,),
            victim_user_id=victim["id"],
            flagged=False,
            expected=Expected(
                ("escalated",), ("not_theirs", "unknown_client") if writer is None else ("not_theirs",), (), ()
            ),
        )


def _needless(fault: Fault) -> set[str]:
    """A consent to something that a look-alike would need and this fault does not."""
    alike = {
        other.consent
        for other in FAULTS.values()
        if other.consent and set(other.symptoms) & set(fault.symptoms) and other.consent != fault.consent
    }
    return {consent for consent in alike if consent != "identity"}


class _Teller:
    """Writes the letter: voice, order, distractors, typing errors."""

    def __init__(self, chance: random.Random, part: Part, breakages: tuple[Breakage, ...] = ()) -> None:
        self.chance = chance
        self.part = part
        self.language = "en"
        self.words = read_words("held.yaml") if part == "held" else WORDINGS
        if part == "voices":
            self.words = WORDINGS | VOICES | self._foreign(breakages)
        if part == "fresh":
            self.words = WORDINGS | VOICES | _fresh()

    def _foreign(self, breakages: tuple[Breakage, ...]) -> dict[str, Any]:
        """Another language's words for some of the letters, if all that may be told has a line there."""
        needed = {symptom for breakage in breakages for symptom in FAULTS[breakage.fault].symptoms}
        language = self.chance.choice(sorted(VOICES["languages"]))
        told: dict[str, Any] = VOICES["languages"][language]
        is_told = bool(needed) and needed <= told["symptoms"].keys() and self.chance.random() < FOREIGN
        if not is_told:
            return {}
        self.language = language
        return told | {"consents": VOICES["consents"] | told["consents"]}

    def pick(self, lines: list[str]) -> str:
        return self.chance.choice(lines)

    def of_part(self, lines: list[str]) -> list[str]:
        if self.part in {"all", "voices", "fresh", "held"} or len(lines) < 2:
            return lines
        return lines[0 if self.part == "dev" else 1 :: 2]

    def body(self, plan: _Plan, breakages: tuple[Breakage, ...], user: Item) -> str:
        if not breakages:
            plain = [name for name in HARMLESS if any(not _needs(line) for line in self.words["symptoms"][name])]
            symptom = self.chance.choice(plain)
            return self.letter([self._typed(self._say(symptom, {}))], user["name"])
        joints = ["", *self.chance.sample(self.words["joints"], len(breakages) - 1)]
        said = [f"{joint} {self._about(breakage)}".strip() for joint, breakage in zip(joints, breakages, strict=True)]
        facts = {name: value for breakage in breakages for name, value in breakage.facts.items()}
        facts.setdefault("asked", "2")
        for consent in sorted(plan.agreed):
            said.append(self.chance.choice(self.of_part(self.words["consents"][consent])).format_map(facts))
        lost_device = any(FAULTS[breakage.fault].consent == "identity" for breakage in breakages)
        if lost_device and plan.kind == "consent_missing":
            said.append(self._without_right_pin(plan, facts))
        if plan.evades:
            said.append(self.chance.choice(self.of_part(self.words["evasions"])))
        return self.letter(said, user["name"])

    def symptom(self, breakage: Breakage) -> str:
        symptom = self.chance.choice(FAULTS[breakage.fault].symptoms)
        return self._typed(self._say(symptom, breakage.facts))

    def _about(self, breakage: Breakage) -> str:
        """One symptom or both, and sometimes the id of the thing."""
        symptoms = list(FAULTS[breakage.fault].symptoms)
        self.chance.shuffle(symptoms)
        shown = symptoms[: 2 if self.chance.random() < 0.3 else 1]
        told = " ".join(self._typed(self._say(symptom, breakage.facts)) for symptom in shown)
        naming = [breakage.items[part] for part in ("job", "key", "webhook", "invoice") if part in breakage.items]
        if naming and self.chance.random() < 0.25:
            told += f" ({naming[0]})"
        return told

    def _say(self, symptom: str, facts: dict[str, str]) -> str:
        lines = [line for line in self.of_part(self.words["symptoms"][symptom]) if _needs(line) <= facts.keys()]
        if not lines:
            lines = [line for line in self.words["symptoms"][symptom] if _needs(line) <= facts.keys()]
        named = {name: value.replace("_", " ") for name, value in facts.items()}
        return self.chance.choice(lines).format_map(named)

    def _without_right_pin(self, plan: _Plan, facts: dict[str, str]) -> str:
        if plan.wrong_pin:
            wrong = f"{(int(facts['pin']) + self.chance.randrange(1, 999_999)) % 1_000_000:06d}"
            return str(self.chance.choice(self.words["consents"]["identity"]).format(pin=wrong))
        return str(self.chance.choice(self.words["no_pin"]))

    def letter(self, said: list[str], name: str) -> str:
        lines = list(said)
        for distractor in self.chance.sample(self.words["distractors"], self.chance.choice((0, 1, 1, 2))):
            lines.insert(self.chance.randrange(len(lines) + 1), distractor)
        separator = self.chance.choice((" ", " ", "\n", "\n\n"))
        parts = [self.pick(self.words["greetings"]), separator.join(lines), self.pick(self.words["closings"])]
        if self.chance.random() < 0.5:
            parts.append(name)
        text = "\n".join(part for part in parts if part)
        return text.lower() if self.chance.random() < 0.1 else text

    def _typed(self, line: str) -> str:
        """Sometimes two letters of a long word change places."""
        words = list(re.finditer(r"\b[a-z]{7,}\b", line))
        if not words or self.chance.random() > 0.2:
            return line
        word = self.chance.choice(words)
        at = self.chance.randrange(word.start() + 1, word.end() - 2)
        return line[:at] + line[at + 1] + line[at] + line[at + 2 :]


def reply_of(case: Case, consent: str, part: Part, *, times: int = 0) -> str:
    """What the client of a case writes back when asked for a consent, by the case's facts alone; `times`: asked so often before."""
    words, chance = read_words("answers.yaml"), random.Random(f"{case.id}/{consent}/{times}")
    facts = {name: value for breakage in case.breakages for name, value in breakage.facts.items()}
    if consent not in case.agreed:
        lines = words["no_pin"] if consent == "identity" else words["no"].get(case.language, words["no"]["en"])
    elif consent in {"identity", "pay_for_seats"}:
        lines = words[consent]
    else:
        own = words["own"].get(consent, []) if case.language == "en" and chance.random() < 1 / 3 else []
        lines = own or words["yes"].get(case.language, words["yes"]["en"])
    half = lines[0 if part in {"dev", "voices"} else 1 :: 2]
    line: str = chance.choice(half)
    return line.format_map({"asked": "2", **facts})


def _fresh() -> dict[str, Any]:
    """Lines of a consent with a number of its own would not fit every case: those stay as in `voices`."""
    words = read_words("fresh.yaml")
    given = {name: lines for name, lines in words["given"].items() if isinstance(lines[0], str)}
    return {"symptoms": words["symptoms"], "consents": VOICES["consents"] | given}


def _needs(line: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(line) if name}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.estate.cases", description="Print cases as JSON lines.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int, default=10)
    parser.add_argument("--part", choices=PARTS, default="dev")
    given = parser.parse_args()
    for case in iter_cases(given.seed, given.number, part=given.part):
        print(json.dumps(asdict(case), ensure_ascii=False))


if __name__ == "__main__":
    main()
