"""Scores the slot reader on texts of our own (`data/slots.jsonl`): `python -m evals.slots [--half dev|test|later|all] [--json FILE] [-v]`.

The texts were written from the definitions below before the reader was, the `later` ones against it; see evals/README.md for what they are worth.
A consent read as given where none was, or for more than was said, is counted apart: that is the error that does harm.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import sqrt
from pathlib import Path
from typing import Any, Final

from asoe.ai.encoder import Encoder
from asoe.ai.local import Models
from asoe.ai.slots import SlotText, read_slots
from asoe.domain.autonomy import upper_limit
from asoe.domain.runbook import Consent, Slot, SlotReading

DATA: Final = Path(__file__).with_name("data") / "slots.jsonl"
LINE: Final = (
    Slot(
        "top_up",
        "consent",
        {"en": "May we add extra data to your line at your plan's price, and up to how many GB?"},
        unit="GB",
        examples={
            "given": (
                "you can top up my data",
                "please refuel my line",
                "I agree to buy more data",
                "adding data is fine",
                "extra data is ok",
                "you may purchase additional data",
                "a refill is alright",
                "refuelling approved",
                "add 1 GB if needed",
                "buy data if you have to",
                "extra gigabytes are fine",
                "Sie dürfen Daten nachbuchen",
                "Aufladung ist in Ordnung",
                "pueden añadir datos",
                "acepto una recarga",
                "vous pouvez ajouter des données",
                "recharge acceptée",
            ),
            "refused": (
                "do not add any data",
                "no top-up please",
                "I don't want to buy data",
                "no refuelling",
                "keine weiteren Daten",
                "keine Datenaufladung",
                "no quiero comprar datos",
                "pas de recharge",
                "acheter des données : non",
            ),
        },
    ),
    Slot(
        "plan_change",
        "consent",
        {"en": "May we move your line to another plan?"},
        examples={
            "given": (
                "you can change my plan",
                "another plan is fine",
                "a different tariff is ok",
                "I agree to a plan change",
                "switch me to a bigger plan",
                "Tarifwechsel ist in Ordnung",
                "pueden cambiar de plan",
                "vous pouvez changer de forfait",
            ),
            "refused": (
                "do not change my plan",
                "keep my plan",
                "I want to stay on my tariff",
                "leave the contract as it is",
                "den Tarif nicht wechseln",
                "kein Tarifwechsel",
                "no quiero cambiar de plan",
                "pas de changement de forfait",
            ),
        },
    ),
    Slot(
        "pay_bill",
        "consent",
        {"en": "May we pay your overdue bill with the payment method on file?"},
        examples={
            "given": (
                "you can pay the bill",
                "please settle my overdue invoice",
                "payment of the bill is fine",
                "make the payment for me",
                "you may clear the overdue balance",
                "bills: yes",
                "Sie können die Rechnung bezahlen",
                "pueden pagar la factura",
                "vous pouvez payer la facture",
            ),
            "refused": ("do not pay the bill", "I will not pay that invoice", "no payments", "do not charge my card"),
        },
    ),
    Slot(
        "place",
        "choice",
        {"en": "Are you at home or abroad?"},
        choices=("home", "abroad"),
        examples={
            "home": (
                "I am at home",
                "he is in his own country",
                "not travelling",
                "location: home",
                "domestic",
                "in the country",
                "at her house",
                "within the home network",
                "I am not abroad",
                "ich bin zu Hause",
                "estoy en casa",
                "je suis à la maison",
            ),
            "abroad": (
                "I am abroad",
                "she is travelling in Spain",
                "on holiday in Thailand",
                "roaming in France",
                "overseas",
                "out of the country",
                "in another country",
                "on a business trip to Japan",
                "visiting Mexico",
                "currently in Canada",
                "ich bin im Ausland",
                "im Urlaub in Italien",
                "estoy en el extranjero",
                "je suis à l'étranger",
            ),
        },
    ),
    Slot("phone", "phone", {"en": "Which phone number is it about?"}),
    Slot("name", "name", {"en": "What is your full name?"}),
)
OPS: Final = (
    Slot(
        "restart",
        "consent",
        {"en": "May we restart the job?"},
        examples={
            "given": (
                "you can restart the job",
                "please restart it",
                "a restart is fine",
                "restarting is ok",
                "run it again",
                "bounce the worker",
                "bitte neu starten",
                "pueden reiniciar",
                "vous pouvez relancer",
            ),
            "refused": (
                "do not restart it",
                "no restart",
                "leave it running",
                "nicht neu starten",
                "no reiniciar",
                "ne relancez pas",
            ),
        },
    ),
    Slot(
        "spend",
        "consent",
        {"en": "May this cost something extra, and up to how much?"},
        unit="USD",
        examples={
            "given": (
                "you can charge us",
                "extra costs are fine",
                "additional fees are ok",
                "spend what is needed",
                "the budget is approved",
                "ein Aufpreis ist in Ordnung",
                "un coste adicional está bien",
            ),
            "refused": (
                "no extra costs",
                "no additional fees",
                "do not charge us",
                "spending is not ok",
                "no budget",
                "keine zusätzlichen Kosten",
                "sin costes adicionales",
                "pas de frais supplémentaires",
            ),
        },
    ),
    Slot("email", "email", {"en": "Which e-mail address?"}),
    Slot("order", "identifier", {"en": "Which order?"}, pattern=r"ORD-\d{5}"),
    Slot("day", "date", {"en": "From which day?"}),
    Slot("seats", "number", {"en": "How many seats or users?"}),
)
SETS: Final = {"line": LINE, "ops": OPS}


@dataclass
class Score:
    """Counts of one run; `misread` names what to look at."""

    counts: Counter[str] = field(default_factory=Counter)
    misread: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        count = self.counts
        given, read = count["given wanted"], count["given right"]
        not_given = count["not given wanted"]
        typed, typed_right = count["value wanted"], count["value right"]
        return {
            "texts": count["texts"],
            "consents_given": given,
            "given_read_right": read,
            "given_recall": _rate(read, given),
            "consents_not_given": not_given,
            "given_where_none_was": count["given wrongly"],
            "given_for_too_much": count["given for too much"],
            "harm_upper_limit_95": round(
                upper_limit(count["given wrongly"] + count["given for too much"], not_given + given), 4
            ),
            "refusals": _rate(count["refused right"], count["refused wanted"]),
            "values": _rate(typed_right, typed),
            "values_read_wrong": count["value wrong"],
            "values_read_where_none": count["value from nothing"],
            "milliseconds_p50": round(1000 * sorted(self.seconds)[len(self.seconds) // 2], 1),
            "milliseconds_p95": round(1000 * sorted(self.seconds)[int(len(self.seconds) * 0.95)], 1),
        }


def read_rows(half: str) -> list[dict[str, Any]]:
    """The texts of one half, or `all`."""
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if half in ("all", row["half"])]


def score(rows: Sequence[Mapping[str, Any]], encoder: Encoder, *, languages: bool = True) -> Score:
    """Read every row's slots and compare."""
    total = Score()
    for row in rows:
        slots = SETS[row["slots"]]
        said = [
            SlotText("ticket.body" if place == 0 else f"message:{place}", text)
            for place, text in enumerate(row["messages"])
        ]
        begun = time.perf_counter()
        readings = read_slots(slots, said, encoder=encoder, language=row["language"] if languages else "und")
        total.seconds.append(time.perf_counter() - begun)
        total.counts["texts"] += 1
        for slot in slots:
            wrong = _compare(total.counts, slot, row["want"].get(slot.name), readings[slot.name])
            if wrong:
                text = " || ".join(row["messages"])
                total.misread.append(
                    f"{wrong:22} {slot.name}: wanted {row['want'].get(slot.name, '-')}, got {_shown(readings[slot.name])}\n    {text}"
                )
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("dev", "test", "later", "all"), default="all")
    parser.add_argument("--json", type=Path)
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    result = score(read_rows(arguments.half), Models.load().encoder)
    if arguments.verbose:
        print("\n".join(result.misread))
    report = {"half": arguments.half} | result.report()
    print(json.dumps(report, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _compare(counts: Counter[str], slot: Slot, wanted: str | None, reading: SlotReading) -> str:
    if slot.type == "consent":
        return _compare_consent(counts, wanted, reading)
    value = reading.value if reading.status == "read" else None
    if wanted is None:
        counts["value from nothing"] += value is not None
        return "value from nothing" if value is not None else ""
    counts["value wanted"] += 1
    right = value is not None and (Decimal(value) == Decimal(wanted) if slot.type == "number" else value == wanted)
    counts["value right"] += right
    counts["value wrong"] += value is not None and not right
    return "" if right else ("value wrong" if value is not None else "value not read")


def _compare_consent(counts: Counter[str], wanted: str | None, reading: SlotReading) -> str:
    got = reading.value if reading.status == "read" and isinstance(reading.value, Consent) else None
    is_given = got is not None and got.status == "given"
    if wanted is None or wanted == "x":
        counts["not given wanted"] += 1
        counts["refused wanted"] += wanted == "x"
        counts["refused right"] += wanted == "x" and got is not None and got.status == "refused"
        counts["given wrongly"] += is_given
        if is_given:
            return "GIVEN WRONGLY"
        return "refusal not read" if wanted == "x" and (got is None or got.status != "refused") else ""
    counts["given wanted"] += 1
    amount = Decimal(wanted[1:]) if len(wanted) > 1 else None
    right = is_given and got is not None and got.amount == amount
    counts["given right"] += right
    if is_given and got is not None and not right:
        too_much = amount is not None and (got.amount is None or got.amount > amount)
        counts["given for too much"] += too_much
        return "GIVEN FOR TOO MUCH" if too_much else "amount wrong"
    return "" if right else "consent not read"


def _shown(reading: SlotReading) -> str:
    value = reading.value
    what = f"{value.status} {value.amount or ''}" if isinstance(value, Consent) else str(value)
    return f"{reading.status} {what} [{reading.evidence}]"


def _rate(part: int, whole: int) -> dict[str, Any]:
    """A share with its Wilson interval at 95 %."""
    if whole == 0:
        return {"rate": None, "of": 0}
    share, z = part / whole, 1.96
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    reach = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return {
        "rate": round(share, 4),
        "of": whole,
        "interval_95": [round(max(0, middle - reach), 4), round(min(1, middle + reach), 4)],
    }


if __name__ == "__main__":
    main()
