"""Counts how the shipped runbooks' slots are read in letters written for development (`dev2.yaml`).

`python -m evals.estate.reading [--misses]`: each letter alone, and amid a complaint and a distractor. Of `check`,
`later` and `fresh` only counts are told. A consent read where none was given, or one of another matter, is the error that does harm; it is counted apart.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from asoe.ai.encoder import Encoder, RememberingEncoder
from asoe.ai.language import detect_language
from asoe.ai.local import Models
from asoe.ai.slots import SlotText, read_slots
from asoe.demo.back_office import shipped
from asoe.desk.runbook.language import parse
from asoe.domain.runbook import Consent, Slot

from .cases import VOICES, WORDINGS, read_words

Half = Literal["develop", "check", "later", "fresh"]
HALVES: Final[tuple[Half, ...]] = ("develop", "check", "later")
WHOSE: Final = "whose"
_NAMED: Final = {"feature": "audit log", "workflow": "Order sync", "system": "HubSpot", "webhook": "the hook", "export": "the customer export", "dashboard": "Sales", "hostname": "help.acme.example"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter and what is right to read in it; `kind` is given, withheld, plain, another or own."""

    half: Half
    kind: str
    slot: str
    text: str
    amount: int | None = None


def letters() -> Iterator[Letter]:
    """Those of `dev2.yaml`, those of `fresh.yaml` as `fresh`; beside them what the cases say without consenting to anything, as `plain`."""
    words = read_words("dev2.yaml")
    for kind in ("given", "withheld"):
        for slot, halves in words[kind].items():
            for half in HALVES:
                for line in halves.get(half, ()):
                    amount, text = line if isinstance(line, list) else (None, line)
                    yield Letter(half, kind, slot, text, amount)
    for kind in ("another", "own"):
        for half in HALVES:
            yield from (Letter(half, kind, WHOSE, text) for text in words[kind].get(half, ()))
    fresh = read_words("fresh.yaml")
    for kind in ("given", "withheld"):
        for slot, lines in fresh[kind].items():
            for line in lines:
                amount, text = line if isinstance(line, list) else (None, line)
                yield Letter("fresh", kind, slot, text, amount)
    for text in _plain():
        yield Letter("develop", "plain", "", text)


def _plain() -> Iterator[str]:
    """Complaints, distractors and evasions of the parts that anybody may look at."""
    for words, step in ((WORDINGS, 2), (VOICES, 1)):
        for lines in (*words["symptoms"].values(), words["distractors"], words["evasions"]):
            for line in lines[::step]:
                yield line.format_map(_NAMED)


@cache
def slots() -> dict[str, Slot]:
    """Every consent of the demo's runbooks, and who is written for."""
    found: dict[str, Slot] = {}
    for path in shipped():
        told = parse(path.read_text(encoding="utf-8")).runbook.slots
        found |= {slot.name: slot for slot in told if slot.type == "consent" or slot.name == WHOSE}
    return found


def amid(letter: Letter) -> str:
    """The letter as it would come: after a complaint, before a distractor."""
    chance = random.Random(letter.text)
    symptoms = [line for lines in WORDINGS["symptoms"].values() for line in lines[::2]]
    told = chance.choice(symptoms).format_map(_NAMED)
    return f"Hello,\n{told} {letter.text} {chance.choice(WORDINGS['distractors'][::2])}\nKind regards"


@cache
def language_of(text: str) -> str:
    """As the desk sees it."""
    return detect_language(text)[0]


def read(slot: Slot, text: str, encoder: Encoder) -> Any:
    """The value that a runbook would go by; None where nothing is read for sure. A runbook reads its own consent alone."""
    said, others = [SlotText("ticket.body", text)], [one for name, one in slots().items() if name != WHOSE]
    found = read_slots([slot], said, encoder=encoder, language=language_of(text), beside=others)[slot.name]
    return found.value if found.status == "read" else None


def wrong(letter: Letter, text: str, encoder: Encoder) -> tuple[str | None, list[str]]:
    """What was missed, if anything, and the consents read that nobody gave."""
    known = slots()
    if letter.slot == WHOSE:
        value = read(known[WHOSE], text, encoder)
        is_other = value == "other"
        return (None if is_other == (letter.kind == "another") else f"read as {value}"), []
    missed, false = None, []
    for name in (name for name in known if name != WHOSE):
        value = read(known[name], text, encoder)
        is_given = isinstance(value, Consent) and value.status == "given"
        if name != letter.slot or letter.kind != "given":
            false += [name] if is_given else []
        elif not is_given:
            missed = f"read as {value.status if value else 'nothing'}"
        elif letter.amount is not None and value.amount != letter.amount:
            missed = f"read as {value.amount}"
            false += [name] if value.amount is not None and value.amount > letter.amount else []
    return missed, false


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.estate.reading", description=__doc__)
    parser.add_argument("--misses", action="store_true", help="print what is read wrong (of the half develop only)")
    parser.add_argument("--alone", action="store_true", help="each letter alone only")
    parser.add_argument("--half", nargs="*", default=(), help="only these")
    parser.add_argument("--kind", choices=("given", "withheld", "plain", "another", "own"), help="only these")
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    options = parser.parse_args()
    encoder = RememberingEncoder(Models.load().encoder, most=20_000)
    counted: Counter[tuple[str, str, str]] = Counter()
    for letter in letters():
        if (options.kind and letter.kind != options.kind) or (options.half and letter.half not in options.half):
            continue
        texts = {"alone": letter.text} | ({} if letter.kind == "plain" or options.alone else {"amid": amid(letter)})
        for where, text in texts.items():
            missed, false = wrong(letter, text, encoder)
            name = f"{letter.kind}, {where}"
            counted[letter.half, name, "letters"] += 1
            counted[letter.half, name, "right"] += missed is None and not false
            counted[letter.half, name, "false consents"] += len(false)
            if options.misses and letter.half == "develop" and (missed or false):
                print(f"{name} {letter.slot}: {missed or ''} {false or ''} {text!r}", file=sys.stderr)
    told = [
        {"half": half, "what": name}
        | {what: counted[half, name, what] for what in ("letters", "right", "false consents")}
        for half, name in sorted({key[:2] for key in counted})
    ]
    for row in told:
        print("{half:<8} {what:<16} {right:>4} of {letters:<4} right, {false consents} false consents".format_map(row))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
