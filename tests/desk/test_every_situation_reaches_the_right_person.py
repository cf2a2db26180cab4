"""A table of situations, written before any of them was tried: the reasons that hold, and the one person they must reach."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from asoe.desk.escalation import reasons_to_escalate, team_of
from asoe.domain.errors import Invalid
from asoe.domain.policy import read_policy
from asoe.domain.routing import Need, Somebody, choose, read_routing
from asoe.domain.ticket import Ticket
from asoe.domain.triage import Estimate, Evidence, Triage

SPACE = UUID(int=5)
OFFICE = {
    "zone": "Europe/Berlin",
    "week": {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")},
    "holidays": ["2026-12-25"],
}


def team(*levels: list[str], **more: object) -> dict:
    listed = [{"members": [f"{name}@acme.example" for name in level]} for level in levels]
    return {"hours": "office", "levels": listed, **more}


def mail(*names: str) -> list[str]:
    return [f"{name}@acme.example" for name in names]


SETTINGS = {
    "business_hours": {"office": OFFICE},
    "persons_only": ["privacy_or_security", "refund_request"],
    "routing": {"by_intent": {"privacy_or_security": "legal"}},
    "teams": {
        "frontline": team(["ana", "bea", "col", "dan"]),
        "billing": team(["eva", "fil"]),
        "technical": team(["gus", "hal"]),
        "accounts": team(["ivy"], ["jan"]),
        "product": team(["kai"]),
        "legal": team(["ned"]),
        "security": team(["oli"], ["pam"]),
        "on_call": {
            "levels": [
                {
                    "rota": {
                        "members": mail("lou", "mia"),
                        "from": "2026-11-23T09:00",
                        "days": 7,
                        "zone": "Europe/Berlin",
                        "overrides": [{"who": "mia@acme.example", "from": "2026-11-26", "to": "2026-11-27"}],
                    },
                    "take_within": "15m",
                }
            ]
        },
    },
    "people": {
        "ana@acme.example": {"languages": ["en"]},
        "bea@acme.example": {"languages": ["de"]},
        "col@acme.example": {"languages": ["es"]},
        "dan@acme.example": {"languages": ["fr"]},
        "eva@acme.example": {"languages": ["en", "de"]},
        "fil@acme.example": {"languages": ["es", "fr"]},
        "gus@acme.example": {"skills": ["workflow_stuck", "job_failed", "incident"]},
        "hal@acme.example": {"skills": ["integration_broken", "webhook_missing"]},
        "ivy@acme.example": {"away": [{"from": "2026-11-25", "to": "2026-11-27"}]},
        "oli@acme.example": {"capacity": 1},
    },
    "escalation": {
        "teams": {
            "legal": "legal",
            "threat": "legal",
            "security": "security",
            "safety": "on_call",
            "incident": "technical",
        },
        "rules": [
            {"name": "press", "when": {"channel": "email"}, "words": ["journalist"], "team": "product"},
            {"name": "vip", "when": {"tag": ["vip"]}, "weight": 0.5},
        ],
    },
}
USUAL = {
    "technical": "how_to", "billing": "invoice_question", "account": "profile_change", "general": "before_buying",
    "integration": "api_usage", "performance": "slow_pages", "feature_request": "does_it_exist",
    "bug_report": "display_glitch",
}  # fmt: skip
"""The intent of a situation that names none."""
LOADS = {"gus": 3, "hal": 1, "oli": 1}
NAMES = "ana bea col dan eva fil gus hal ivy jan kai lou mia ned oli pam zoe".split()
PEOPLE = [
    Somebody(uuid5(SPACE, name), f"{name}@acme.example", "owner" if name == "zoe" else "agent", LOADS.get(name, 0))
    for name in NAMES
]
CALLED = {each.user_id: name for each, name in zip(PEOPLE, NAMES, strict=True)}


def situations() -> list[tuple[str, str, dict[str, str], str]]:
    found = []
    for line in Path(__file__).with_name("situations.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            outcome, known, words = (part.strip() for part in line.split("|"))
            reasons, _, person = outcome.partition(" -> ")
            found.append((reasons, person, dict(each.split("=", 1) for each in known.split()), words))
    return found


def reached(known: dict[str, str], words: str) -> tuple[frozenset[str], str]:
    """What the product decides, and whom it gives it to."""
    now = datetime.fromisoformat(known.get("at", "2026-11-24T10:00")).replace(tzinfo=UTC)
    policy = read_policy(SETTINGS)
    ticket = Ticket(
        id=uuid5(SPACE, words), org_id=SPACE, number=1, created_at=now, updated_at=now, version=1, status="open",
        category=known.get("cat", "technical"), severity=known.get("sev", "medium"), intent=known.get("intent", USUAL[known.get("cat", "technical")]),
        language=known.get("lang", "en"), channel=known.get("channel", "api"), body=words,
        tags=tuple(known["tag"].split(",")) if "tag" in known else (),
    )  # fmt: skip
    triage = Triage(
        category=Estimate(ticket.category, 0.9), severity=Estimate(ticket.severity, 0.9),
        intent=Estimate(str(ticket.intent), 0.9), language=ticket.language, language_confidence=0.9, scope=0.9,
        evidence=Evidence(words=(), similar=()), requests=(), model_version="table",
        need=Estimate(known.get("need", "information"), 0.9),
    )  # fmt: skip
    was = "resolved" if known.get("earlier") == "ended" else "in_progress"
    category = "billing" if known.get("earlier") == "billing" else ticket.category
    earlier = [replace(ticket, status=was, category=category, body="") for _ in range(int(known.get("repeat", 0)))]
    reasons = reasons_to_escalate(
        ticket, triage, policy, earlier=earlier, said=(words,), is_late=known.get("late") == "yes"
    )
    if not reasons and "stage" in known:
        reasons = (known["stage"],)
    if not reasons:
        return frozenset(), "nobody"
    routing = read_routing(SETTINGS)
    teams = {
        name: replace(each, when_closed=known.get("closed", each.when_closed)) for name, each in routing.teams.items()
    }
    choice = choose(
        replace(routing, teams=teams),
        Need(
            known.get("team") or team_of(ticket, policy, reasons=reasons, triage=triage, said=(words,)),
            ticket.severity,
            ticket.language,
            frozenset({ticket.category, str(ticket.intent), *ticket.tags, *reasons}),
        ),
        PEOPLE,
        now=now,
        passed=frozenset(uuid5(SPACE, name) for name in known.get("passed", "").split(",")),
    )
    whom = f"{choice.due_at:%Y-%m-%dT%H:%M}" if choice.user_id is None else CALLED[choice.user_id]
    return frozenset(reasons), whom


def test_there_are_enough_situations_and_each_is_its_own() -> None:
    table = situations()
    assert len(table) >= 200
    assert len({(tuple(sorted(known.items())), words) for _, _, known, words in table}) == len(table)


@pytest.mark.parametrize(
    ("reasons", "person", "known", "words"),
    situations(),
    ids=[f"{n:03} {row[0]} {row[1]}" for n, row in enumerate(situations())],
)
def test_a_situation_has_its_reasons_and_reaches_its_person(reasons, person, known, words) -> None:
    wanted = frozenset() if reasons == "none" else frozenset(reasons.split())
    assert reached(known, words) == (wanted, person)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"weights": {"mood": 1}}, "escalation.weights.mood"),
        ({"weights": {"anger": "much"}}, "escalation.weights.anger"),
        ({"threshold": 0}, "escalation.threshold"),
        ({"teams": {"mood": "billing"}}, "escalation.teams.mood"),
        ({"rules": [{"name": "all"}]}, "escalation.rules.0"),
        ({"rules": [{"when": {"mood": ["bad"]}}]}, "escalation.rules.0.when.mood"),
        ({"rules": [{"words": "press"}]}, "escalation.rules.0.words"),
        ({"moods": []}, "escalation.moods"),
    ],
)
def test_a_wrong_rule_is_refused_by_field(wrong, field) -> None:
    with pytest.raises(Invalid) as caught:
        read_policy({"escalation": wrong})
    assert field in {problem.field for problem in caught.value.fields}


def test_an_organization_weighs_for_itself() -> None:
    ticket_words = "This is unacceptable, I am furious."
    known = {"cat": "billing"}
    assert reached(known, ticket_words) == (frozenset(), "nobody")
    SETTINGS["escalation"]["weights"] = {"anger": 1}
    try:
        assert reached(known, ticket_words) == (frozenset({"anger"}), "eva")
    finally:
        del SETTINGS["escalation"]["weights"]
