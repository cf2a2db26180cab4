"""For any answers: paths never repeat, a replay goes the same way, no act passes its guard or the cap, no ending claims."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runbook_stage import ACTIVE, READ, act, book, environment, fix, guard, seconds

from asoe.desk.runbook.interpreter import interpret
from asoe.domain.runbook import (
    Ask,
    Call,
    Consent,
    Each,
    Effect,
    End,
    Ending,
    Goal,
    Guard,
    Inquire,
    Lookup,
    Observe,
    Observed,
    Passed,
    Pause,
    Perform,
    Performed,
    Procedure,
    Read,
    Routine,
    Runbook,
    Slot,
    SlotReading,
    Told,
    Wait,
    When,
)

MOST = 4
GUARDS = (
    guard("!account.fraud"),
    Guard('slots.refuel.status == "given"', "needs_consent", ask="refuel"),
    guard("amount <= slots.refuel.amount", "over_cap"),
)
PAID = act("pay", amount="account.price", once_per='"key"', guards=GUARDS, undo="unpay", into="paid")
JOB = Read(Call("estate", "get_account", {"email": "=job.id"}), "account")
BOOK = book(
    Lookup("jobs", Read(Call("estate", "jobs"), "jobs", "result.items"), guard("size(jobs) >= 0", "not_found")),
    fix("pay", PAID, act("note", undo="unnote"), patience=seconds(4, 2), still_broken="fail"),
    Each("each", "jobs", "job", (fix("restart", act("restart"), check=(JOB,), still_broken="next"),), where="job.stuck", most=3),
    Ask("ask", "refuel", when='account.status == "frozen"'),
    Procedure("sub", "sub", {"line": "=account.price"}),
    When("when", 'account.status == "locked"', (Wait("wait", timedelta(minutes=1)), fix("again")), (fix("other", act("other"), still_broken="next"),)),
    End("end", "refused", "policy", when="account.fraud"),
    slots=(Slot("refuel", "consent", {"en": "May we?"}, is_required=False), Slot("phone", "phone", {"en": "Which?"})),
    procedures={"sub": Routine(Goal((READ,), "account.price < 5 && line >= 0"), (fix("sub", act("sub")),), ("line",))},
    patience=seconds(2, 1),
    most_acts=MOST,
)  # fmt: skip

ACCOUNTS = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["locked", "active", "frozen"]),
        "fraud": st.booleans(),
        "price": st.integers(0, 9) | st.floats(0, 9),
    }
)
READS = ACCOUNTS.map(Observed) | st.sampled_from(
    [Observed(error="down"), Observed(error="none", is_missing=True), Observed(None), Observed({})]
)
JOBS = st.lists(st.fixed_dictionaries({"id": st.text(max_size=3), "stuck": st.booleans()}), max_size=4).map(
    lambda items: Observed({"items": items})
)
ACTS = st.sampled_from(["done"] * 6 + ["already_done", "simulated", "declined", "failed", "unknown"]).map(Performed)
CONSENTS = st.sampled_from(
    [
        SlotReading("refuel", "absent"),
        SlotReading("refuel", "unsure", Consent("given", Decimal(9))),
        SlotReading("refuel", "read", Consent("refused")),
        SlotReading("refuel", "read", Consent("given", Decimal("4.5"))),
    ]
)


@dataclass
class Play:
    """One run against drawn answers, with all that was asked and told."""

    data: Any
    told: list[tuple[Effect, Told]] = field(default_factory=list)

    def run(self, runbook: Runbook, slots: dict[str, Any]) -> Ending:
        going = interpret(runbook, environment=environment(slots))
        told: Told | None = None
        while True:
            try:
                effect = going.send(told)  # type: ignore[arg-type]
            except StopIteration as stop:
                return stop.value
            told = self.answer(effect)
            self.told.append((effect, told))
            assert len(self.told) < 500

    def answer(self, effect: Effect) -> Told:
        match effect:
            case Observe():
                return self.data.draw(JOBS if effect.call.action == "jobs" else READS)
            case Perform():
                return self.data.draw(ACTS)
            case Inquire():
                if effect.slot.name == "refuel":
                    return self.data.draw(CONSENTS)
                return self.data.draw(
                    st.sampled_from([SlotReading("phone", "absent"), SlotReading("phone", "read", "+1")])
                )
            case Pause():
                return Passed()


@given(st.data(), CONSENTS)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_answered(data, consent):
    slots = {"refuel": consent, "phone": "+1"} if data.draw(st.booleans()) else {"refuel": consent}
    play = Play(data)
    ending = play.run(BOOK, slots)
    performs = [(effect, told) for effect, told in play.told if isinstance(effect, Perform)]
    acts = [(effect, told) for effect, told in performs if not effect.is_undo]
    undos = [effect for effect, _ in performs if effect.is_undo]

    paths = [effect.path for effect, _ in play.told]
    assert len(paths) == len(set(paths)), "no two effects share a path"
    assert len(acts) <= MOST
    assert len(undos) <= sum(told.status == "done" for _, told in acts)
    assert not undos or ending.verdict == "failed"
    assert play_again(play.told, slots) == (paths, ending), "a replay with the same answers goes the same way"

    last_check: dict[str, Any] = {}
    given_consent = slots["refuel"]
    for effect, told in play.told:
        if isinstance(effect, Inquire) and effect.slot.name == "refuel":
            given_consent = told
        if isinstance(effect, Observe) and "/check/" in effect.path and told.error is None:
            last_check[effect.path.split("/check/")[0]] = told.value
        if isinstance(effect, Perform) and not effect.is_undo:
            seen = last_check[effect.path.split("/act/")[0]]
            assert seen["status"] == "locked", "nothing is done that no check asked for"
            if effect.call.action == "pay":
                assert seen["fraud"] is False
                assert given_consent.status == "read"
                assert given_consent.value.status == "given"
                assert effect.amount == Decimal(str(seen["price"])) <= given_consent.value.amount
                assert effect.business_key == "key"

    for effect, told in acts[:-1]:
        assert told.status in {"done", "already_done", "simulated"} or (
            (told.status == "failed" and "/restart/" in effect.path) or "/other/" in effect.path
        ), "nothing is done after an act that was declined, that failed, or of which nobody knows"

    if ending.verdict == "verified":
        last, told = play.told[-1]
        assert isinstance(last, Observe), "the last thing before `verified` is a fresh read"
        assert last.path.startswith("goal/")
        assert last.is_final
        assert told.value["status"] == "active"
        assert not any(told.status == "simulated" for _, told in acts)
    if any(told.status == "simulated" for _, told in acts):
        assert (ending.verdict, ending.reason) == ("unverified", "rehearsed")
    if any(told.status == "unknown" for _, told in acts) and ending.reason != "rehearsed":
        assert (ending.verdict, ending.reason) == ("escalated", "effect_unknown")
    verifiable = [effect.path for effect, told in acts if told.status == "done" and "/pay/" in effect.path]
    if verifiable and ending.verdict == "verified":
        assert any("/pay/verify/" in path for path in paths), "what was done is verified before anything is claimed"


def play_again(told: list[tuple[Effect, Told]], slots: dict[str, Any]) -> tuple[list[str], Ending]:
    going = interpret(BOOK, environment=environment(slots))
    paths: list[str] = []
    answer: Told | None = None
    for before, given_then in told:
        effect = going.send(answer)  # type: ignore[arg-type]
        assert effect == before
        paths.append(effect.path)
        answer = given_then
    try:
        going.send(answer)  # type: ignore[arg-type]
    except StopIteration as stop:
        return paths, stop.value
    raise AssertionError("the replay goes on")


def test_the_runbook_of_this_proof_uses_every_way():
    """With friendly answers it is verified, so that the properties above are not true of nothing."""
    from runbook_stage import World, play

    state = {"status": "locked", "fraud": False, "price": 3}
    world = World(
        state, answers={"jobs": {"items": []}}, effects={"note": lambda account: account.update(status="active")}
    )
    consent = SlotReading("refuel", "read", Consent("given", Decimal(9)))
    ending = play(BOOK, world, slots={"refuel": consent, "phone": "+1"})
    assert (ending.verdict, world.acts) == ("verified", ["pay", "note"])
    assert ending.step == "goal"
    assert replace(ending, verdict="failed") != ending
    assert ACTIVE in BOOK.routine.goal.met
