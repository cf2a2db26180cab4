"""Check, act once, verify, re-check the goal: what a run does next, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from runbook_stage import ACTIVE, LOCKED, READ, World, act, book, environment, fix, guard, play, seconds

from asoe.domain.runbook import (
    ApprovalRule,
    Ask,
    Call,
    Condition,
    Consent,
    Each,
    End,
    Goal,
    Guard,
    Inquire,
    Let,
    Lookup,
    Observe,
    Observed,
    Pause,
    Perform,
    Performed,
    Procedure,
    Read,
    Routine,
    Runbook,
    Slot,
    SlotReading,
    Wait,
    When,
)

FIND = Read(Call("estate", "find", {"email": "=contact.email"}), "customer", "result.items[0]")
CONSENT = Slot("refuel", "consent", {"en": "May we?"}, is_required=False, unit="GB")


def test_a_fix_is_checked_done_verified_and_the_goal_read_again():
    world = World()
    ending = play(book(), world)
    assert (ending.verdict, ending.reason) == ("verified", "goal_met")
    assert world.paths == [
        "goal/0/account",
        "steps/unlock/check/account",
        "steps/unlock/act/0",
        "steps/unlock/verify/0/account",
        "goal/1/account",
    ]
    finals = [effect.is_final for effect in world.effects_seen if isinstance(effect, Observe)]
    assert finals == [True, False, True, True]
    assert ending.evidence["acts"] == [{"path": "steps/unlock/act/0", "call": "estate.unlock", "status": "done"}]
    assert [check["holds"] for check in ending.evidence["checks"]] == [False, True, True]


def test_a_goal_met_at_the_start_is_never_claimed():
    world = World({"status": "active"})
    ending = play(book(), world)
    assert (ending.verdict, ending.reason, world.acts) == ("unverified", "already_met", [])


def test_an_act_that_does_not_show_is_not_called_verified():
    world = World(effects={})
    ending = play(book(), world)
    assert (ending.verdict, ending.reason) == ("escalated", "verification_failed")
    assert world.acts == ["unlock"], "never repeated"


def test_an_act_that_shows_is_verified_even_while_the_goal_is_not_met_yet():
    world = World({"status": "locked", "plan": "none"})
    world.effects["subscribe"] = lambda state: state.update(plan="basic")
    again = fix("plan", act("subscribe"), when='account.plan == "none"')
    ending = play(book(fix(), again, met=f'{ACTIVE} && account.plan == "basic"'), world)
    assert (ending.verdict, world.acts) == ("verified", ["unlock", "subscribe"])


def test_the_run_stops_as_soon_as_the_goal_is_met():
    world = World()
    play(book(fix(), fix("more", act("lock"), when="true")), world)
    assert world.acts == ["unlock"]


def test_steps_that_are_exhausted_hand_over():
    world = World({"status": "frozen"})
    ending = play(book(), world)
    assert (ending.verdict, ending.reason, world.acts) == ("escalated", "goal_not_met", [])


@pytest.mark.parametrize(
    ("still_broken", "verdict", "acts"),
    [
        ("next", "escalated", ["unlock", "other"]),
        ("escalate", "escalated", ["unlock"]),
        ("fail", "failed", ["unlock", "lock"]),
    ],
)
def test_what_follows_a_failed_verification_is_the_runbooks_choice(still_broken, verdict, acts):
    world = World(effects={})
    broken = fix("unlock", act(undo="lock"), still_broken=still_broken)
    ending = play(book(broken, fix("other", act("other"), still_broken="next")), world)
    assert (ending.verdict, world.acts) == (verdict, acts)


# patience


def test_a_verification_waits_as_long_as_it_may_and_no_longer():
    world = World(effects={})
    ending = play(book(fix(patience=seconds(6, 2))), world)
    assert ending.reason == "verification_failed"
    pauses = [effect for effect in world.effects_seen if isinstance(effect, Pause)]
    assert [pause.path for pause in pauses] == [f"steps/unlock/verify/{n}/pause" for n in range(3)]
    assert {pause.duration for pause in pauses} == {timedelta(seconds=2)}


def test_what_shows_late_is_verified():
    world = World(effects={}, on_pause=lambda state: state.update(status="active"))
    ending = play(book(fix(patience=seconds(6, 2))), world)
    assert ending.verdict == "verified"
    assert world.paths[-3:] == ["steps/unlock/verify/0/pause", "steps/unlock/verify/1/account", "goal/1/account"]


def test_a_goal_that_comes_true_late_is_waited_for():
    world = World({"status": "locked", "synced": False}, on_pause=lambda state: state.update(synced=True))
    ending = play(book(met=f"{ACTIVE} && account.synced", patience=seconds(30, 10)), world)
    assert ending.verdict == "verified"
    assert world.paths[-3:] == ["goal/1/account", "goal/1/pause", "goal/2/account"]


def test_a_goal_that_does_not_come_true_is_given_up():
    world = World({"status": "locked", "synced": False})
    ending = play(book(met=f"{ACTIVE} && account.synced", patience=seconds(30, 10)), world)
    assert ending.reason == "goal_not_met"
    assert [path for path in world.paths if path.startswith("goal/")][-2:] == ["goal/3/pause", "goal/4/account"]


def test_a_goal_is_waited_for_after_waiting_as_well():
    pauses = iter(range(3))
    world = World(on_pause=lambda state: state.update(status="active") if next(pauses) == 2 else None)
    ending = play(book(Wait("wait", timedelta(minutes=5)), patience=seconds(30, 10)), world)
    assert (ending.verdict, ending.reason) == ("verified", "recovered")


def test_the_goal_is_not_waited_for_before_anything_was_done():
    world = World({"status": "frozen"})
    play(book(patience=seconds(30, 10)), world)
    assert not any(isinstance(effect, Pause) for effect in world.effects_seen)


def test_patience_without_a_rhythm_ends():
    world = World(effects={})
    assert play(book(fix(patience=seconds(6, 0))), world).reason == "verification_failed"


def test_a_read_that_fails_while_there_is_patience_is_read_again():
    world = World(answers={"steps/unlock/verify/0/account": Observed(error="timed out")})
    assert play(book(fix(patience=seconds(6, 2))), world).verdict == "verified"


# guards


@pytest.mark.parametrize(("otherwise", "verdict"), [("escalate", "escalated"), ("refuse", "refused")])
def test_a_guard_that_fails_ends_the_run_before_the_act(otherwise, verdict):
    world = World({"status": "locked", "fraud": True})
    ending = play(book(fix("unlock", act(guards=(guard("account.fraud == false", "fraud", otherwise),)))), world)
    assert (ending.verdict, ending.reason, world.acts) == (verdict, "fraud", [])


def test_an_act_that_a_guard_leaves_out_is_left_out_and_the_next_one_done():
    world = World()
    one = fix("unlock", act("extra", guards=(guard("false", "no", "skip"),)), act())
    assert play(book(one), world).verdict == "verified"
    assert world.acts == ["unlock"]


def test_a_fix_of_which_nothing_was_done_verifies_nothing():
    world = World()
    ending = play(book(fix("unlock", act(guards=(guard("false", "no", "skip"),)))), world)
    assert ending.reason == "goal_not_met"
    assert not any("verify" in path for path in world.paths)


def test_guards_and_approval_rules_know_the_amount():
    rule = ApprovalRule(when="amount > 20")
    for price, needed in ((19, False), (21, True)):
        world = World({"status": "locked", "price": price})
        paid = act(
            amount="account.price", unit="USD", once_per="account.price", approval=rule, guards=(guard("amount < 50"),)
        )
        play(book(fix("unlock", paid)), world)
        [perform] = [effect for effect in world.effects_seen if isinstance(effect, Perform)]
        assert (perform.amount, perform.needs_approval, perform.business_key) == (Decimal(price), needed, str(price))


@pytest.mark.parametrize("given", [{"amount": "-1"}, {"amount": '"x"'}, {"once_per": '""'}, {"once_per": "null"}])
def test_a_senseless_amount_or_key_acts_not(given):
    world = World()
    ending = play(book(fix("unlock", act(**given))), world)
    assert (ending.verdict, ending.reason, world.acts) == ("escalated", "check_failed", [])


def test_a_run_never_acts_more_often_than_it_may():
    world = World(effects={})
    steps = tuple(fix(f"f{n}", act(f"a{n}"), still_broken="next") for n in range(5))
    ending = play(book(*steps, most_acts=3), world)
    assert (ending.verdict, ending.reason, len(world.acts)) == ("escalated", "over_cap", 3)


# how acts end


@pytest.mark.parametrize(
    ("performed", "verdict", "reason"),
    [
        (Performed("declined", reason="already_done"), "refused", "already_done"),
        (Performed("declined", reason="over_cap"), "escalated", "over_cap"),
        (Performed("declined", reason="emergency_stop"), "escalated", "emergency_stop"),
        (Performed("unknown"), "escalated", "effect_unknown"),
        (Performed("failed"), "failed", "act_failed"),
        (Performed("failed", reason="connector_down"), "failed", "connector_down"),
    ],
)
def test_an_act_that_was_not_surely_done_ends_the_run(performed, verdict, reason):
    world = World(answers={"unlock": performed})
    ending = play(book(fix(), fix("other", act("other"), when="true")), world)
    assert (ending.verdict, ending.reason, ending.step, world.acts) == (verdict, reason, ending.step, ["unlock"])
    assert ending.step.startswith("steps/unlock")


def test_what_was_already_done_is_verified_but_not_undone():
    world = World(answers={"unlock": Performed("already_done")})
    broken = fix("unlock", act(undo="lock"), still_broken="fail")
    assert (play(book(broken), world).verdict, world.acts) == ("failed", ["unlock"])
    world = World({"status": "locked"}, effects={}, answers={"unlock": Performed("already_done")})
    world.answers["steps/unlock/verify/0/account"] = world.answers["goal/1/account"] = {"status": "active"}
    assert play(book(), world).verdict == "verified"


def test_a_failed_act_may_be_followed_by_the_next_step():
    world = World(answers={"first": Performed("failed")})
    ending = play(book(fix("first", act("first"), act("second"), still_broken="next"), fix()), world)
    assert (ending.verdict, world.acts) == ("verified", ["first", "unlock"])


def test_what_was_done_is_undone_in_reverse_when_the_run_fails():
    acts = (act("a", undo="undo_a"), act("b"), act("c", undo="undo_c"), act("d", undo="undo_d"))
    world = World(effects={}, answers={"d": Performed("failed")})
    ending = play(book(fix("unlock", *acts)), world)
    assert world.acts == ["a", "b", "c", "d", "undo_c", "undo_a"]
    assert ending.undone == ("steps/unlock/act/2", "steps/unlock/act/0")
    assert "steps/unlock/act/1 stands" in ending.note
    assert [path for path in world.paths if path.startswith("undo/")] == [
        "undo/steps/unlock/act/2",
        "undo/steps/unlock/act/0",
    ]
    assert all(
        effect.is_undo == effect.path.startswith("undo/")
        for effect in world.effects_seen
        if isinstance(effect, Perform)
    )


def test_an_undo_that_fails_is_said_and_the_others_are_tried():
    acts = (act("a", undo="undo_a"), act("b", undo="undo_b"), act("c"))
    world = World(answers={"c": Performed("failed"), "undo_b": Performed("unknown")})
    ending = play(book(fix("unlock", *acts)), world)
    assert ending.undone == ("steps/unlock/act/0",)
    assert "steps/unlock/act/1 could not be undone (unknown)" in ending.note


def test_an_undo_may_use_what_its_act_gave():
    from asoe.domain.runbook import Act

    made = Act(Call("estate", "make"), undo=Call("estate", "remove", {"id": "=made.id"}), into="made")
    world = World(effects={}, answers={"make": {"id": 9}})
    world.answers["make"] = Performed("done", {"id": 9})
    play(book(fix("unlock", made, still_broken="fail")), world)
    first, second = [effect for effect in world.effects_seen if isinstance(effect, Perform)]
    assert first.undo is None
    assert second.call == Call("estate", "remove", {"id": 9})


def test_an_escalation_undoes_nothing():
    world = World(answers={"b": Performed("unknown")})
    ending = play(book(fix("unlock", act("a", undo="undo_a"), act("b"))), world)
    assert (ending.verdict, world.acts, ending.undone) == ("escalated", ["a", "b"], ())


# rehearsals


def test_a_rehearsal_lists_every_act_it_would_do_and_claims_nothing():
    world = World(answers={"unlock": Performed("simulated"), "other": Performed("simulated")})
    ending = play(book(fix(), fix("other", act("other"))), world)
    assert (ending.verdict, ending.reason) == ("unverified", "rehearsed")
    assert world.acts == ["unlock", "other"]
    assert not any("verify" in path or "goal/1" in path for path in world.paths)


def test_a_rehearsal_says_how_it_would_have_gone_on():
    world = World(answers={"unlock": Performed("simulated")})
    ending = play(book(fix(), End("end", "escalated", "too_hard")), world)
    assert (ending.verdict, ending.reason) == ("unverified", "rehearsed")
    assert "too_hard" in ending.note


def test_a_rehearsal_that_stops_before_any_act_ends_as_the_run_would():
    world = World({"status": "locked", "fraud": True})
    assert play(book(fix("unlock", act(guards=(guard("!account.fraud"),)))), world).reason == "fraud"


# reads and look-ups


@pytest.mark.parametrize(
    "path", ["goal/0/account", "steps/unlock/check/account", "steps/unlock/verify/0/account", "goal/1/account"]
)
@pytest.mark.parametrize("observed", [Observed(error="it is down"), Observed(error="no such account", is_missing=True)])
def test_a_check_that_cannot_be_read_hands_over(path, observed):
    world = World(answers={path: observed})
    ending = play(book(), world)
    is_unknown = observed.is_missing and not world.acts
    assert (ending.verdict, ending.reason) == ("escalated", "not_found" if is_unknown else "check_failed")
    assert path in ending.note
    assert observed.error in ending.note


def test_a_lookup_binds_what_it_selects():
    world = World(answers={"find": {"items": [{"id": "c1"}]}})
    one = act(once_per="customer.id")
    assert play(book(Lookup("customer", FIND), fix("unlock", one)), world).verdict == "verified"
    assert next(effect.business_key for effect in world.effects_seen if isinstance(effect, Perform)) == "c1"


@pytest.mark.parametrize(
    "answer", [{"items": []}, {"items": [{"id": ""}]}, {"items": [None]}, Observed(error="404", is_missing=True), {}]
)
def test_a_lookup_that_finds_nothing_ends_for_its_reason(answer):
    world = World(answers={"find": answer})
    ending = play(book(Lookup("customer", FIND, guard('customer.id != ""', "not_found")), fix()), world)
    assert (ending.verdict, ending.reason, world.acts) == ("escalated", "not_found", [])


def test_a_system_that_is_down_is_not_called_not_found():
    world = World(answers={"find": Observed(error="connection refused")})
    ending = play(book(Lookup("customer", FIND, guard('customer.id != ""', "not_found"))), world)
    assert ending.reason == "check_failed"


def test_absence_can_be_what_is_expected():
    world = World(answers={"find": Observed(error="404", is_missing=True)})
    assert play(book(Lookup("customer", FIND, guard("customer == null", "exists")), fix()), world).verdict == "verified"


def test_lookups_are_read_once_until_something_happens_there():
    find = {"find": {"items": [{"id": "c1"}]}}
    steps = (
        Lookup("one", FIND),
        Lookup("two", FIND),
        fix("unlock", act("noop"), still_broken="next"),
        Lookup("three", FIND),
    )
    world = World(effects={}, answers=dict(find))
    play(book(*steps), world)
    assert [path for path in world.paths if path in {"steps/one", "steps/two", "steps/three"}] == [
        "steps/one",
        "steps/three",
    ]
    elsewhere = Read(Call("other", "find", {"email": "=contact.email"}), "customer", "result.items[0]")
    steps = (Lookup("one", elsewhere), fix("unlock", act("noop"), still_broken="next"), Lookup("two", elsewhere))
    world = World(effects={}, answers=dict(find))
    play(book(*steps, connectors={"estate": "e", "other": "o"}), world)
    assert "steps/two" not in world.paths


def test_lookups_are_read_again_after_waiting():
    world = World({"status": "frozen"}, answers={"find": {"items": [{"id": 1}]}})
    play(book(Lookup("one", FIND), Wait("wait", timedelta(minutes=5)), Lookup("two", FIND)), world)
    assert "steps/two" in world.paths


@pytest.mark.parametrize(
    "expression",
    ["account.nothing.here == 1", "account.status > 3", "nobody == 1", "account.status", "((", 'int("x") > 1'],
)
def test_an_expression_that_fails_hands_over_and_names_step_and_expression(expression):
    world = World()
    ending = play(book(fix("odd", when=expression)), world)
    assert (ending.verdict, ending.reason, world.acts) == ("escalated", "check_failed", [])
    assert "steps/odd" in ending.note
    assert expression[:10] in ending.note


def test_a_goal_that_cannot_be_computed_hands_over():
    assert play(book(met="account.nothing == 1"), World()).reason == "check_failed"


# branches, loops, procedures


def test_let_names_values_for_later_steps():
    one = fix(when=f"level > 1 && {LOCKED}")
    world = World()
    assert play(book(Let("let", {"base": "1", "level": "base + 1"}), one), world).verdict == "verified"


@pytest.mark.parametrize(("condition", "acts"), [("true", ["unlock"]), ("false", ["lock"])])
def test_when_takes_one_branch(condition, acts):
    world = World()
    branch = When("when", condition, (fix(),), (fix("lock", act("lock"), still_broken="next"),))
    play(book(branch), world)
    assert world.acts == acts
    side = "then" if condition == "true" else "else"
    assert any(path.startswith(f"steps/when/{side}/") for path in world.paths)


JOBS = Lookup("jobs", Read(Call("estate", "jobs"), "jobs"))


def restart(most: int = 100) -> Each:
    job = Read(Call("estate", "job", {"id": "=job.id"}), "seen")
    one = fix("restart", act("restart", once_per="job.id"), check=(job,), when="true", verify=Condition((job,), "true"))
    return Each("jobs", "jobs", "job", (one,), where='job.state == "stuck"', most=most)


def test_each_does_its_steps_for_the_chosen_elements():
    jobs = [{"id": n, "state": "stuck" if n % 2 else "fine"} for n in range(4)]
    world = World(effects={}, answers={"jobs": jobs, "job": {}})
    play(book(JOBS, restart()), world)
    performs = [effect for effect in world.effects_seen if isinstance(effect, Perform)]
    assert [(one.path, one.business_key) for one in performs] == [
        ("steps/jobs~2/1/restart/act/0", "1"),
        ("steps/jobs~2/3/restart/act/0", "3"),
    ]


def test_each_touches_nothing_when_there_are_too_many():
    world = World(answers={"jobs": [{"id": n, "state": "stuck"} for n in range(3)]})
    ending = play(book(JOBS, restart(most=2)), world)
    assert (ending.reason, world.acts) == ("over_cap", [])


def test_each_stops_when_the_goal_is_met():
    world = World(answers={"jobs": [{"id": n, "state": "stuck"} for n in range(3)], "job": {}})
    world.effects["restart"] = lambda state: state.update(status="active")
    assert play(book(JOBS, restart()), world).verdict == "verified"
    assert world.acts == ["restart"]


def test_each_needs_a_list():
    world = World(answers={"jobs": {"items": []}})
    assert play(book(JOBS, restart()), world).reason == "check_failed"


LINE = Read(Call("estate", "line", {"id": "=line"}), "state")
DATA = Routine(
    Goal((LINE,), "state.data"),
    (fix("enable", act("enable"), check=(LINE,), when="!state.data"),),
    parameters=("line",),
)
CALL_DATA = Procedure("mobile-data", "mobile-data", {"line": "=contact.phone"})


def lines(data: bool, **effects) -> World:
    world = World({"status": "locked", "data": data})
    world.effects |= effects
    return world


def test_a_procedure_has_a_goal_of_its_own():
    world = lines(False, enable=lambda state: state.update(data=True))
    ending = play(book(CALL_DATA, fix(), procedures={"mobile-data": DATA}), world)
    assert (ending.verdict, world.acts) == ("verified", ["enable", "unlock"])
    assert "steps/mobile-data/goal/0/state" in world.paths
    assert "steps/mobile-data/steps/enable/act/0" in world.paths
    assert "goal/1/account" in world.paths, "the run's goal is read again after a procedure that acted"


def test_after_a_procedure_that_acted_the_runs_goal_is_read_with_patience_and_ends_it():
    world = lines(False, enable=lambda state: state.update(data=True))
    world.on_pause = lambda state: state.update(status="active")
    ending = play(book(CALL_DATA, fix(), procedures={"mobile-data": DATA}, patience=seconds(9, 3)), world)
    assert (ending.verdict, world.acts) == ("verified", ["enable"])
    assert world.paths[-3:] == ["goal/1/account", "goal/1/pause", "goal/2/account"]


def test_a_rehearsed_procedure_is_followed_by_the_next_step_without_reading_the_goal():
    world = lines(False)
    world.answers |= {"enable": Performed("simulated"), "unlock": Performed("simulated")}
    assert play(book(CALL_DATA, fix(), procedures={"mobile-data": DATA}), world).reason == "rehearsed"
    assert (world.acts, "goal/1/account" in world.paths) == (["enable", "unlock"], False)


def test_a_procedure_that_only_waited_has_the_runs_goal_read_at_the_end():
    inner = Routine(Goal((READ,), ACTIVE), (Wait("wait", timedelta(minutes=1)),))
    world = World(on_pause=lambda state: state.update(status="active"))
    ending = play(book(Procedure("p", "p"), procedures={"p": inner}), world)
    assert (ending.verdict, ending.reason) == ("verified", "recovered")


def test_a_procedure_whose_goal_is_met_does_nothing():
    world = lines(True)
    play(book(CALL_DATA, fix(), procedures={"mobile-data": DATA}), world)
    assert world.acts == ["unlock"]


def test_a_procedure_that_does_not_reach_its_goal_ends_the_whole_run():
    world = lines(False)
    ending = play(book(Procedure("p", "p"), fix(), procedures={"p": Routine(Goal((READ,), "false"), ())}), world)
    assert (ending.verdict, ending.reason, world.acts) == ("escalated", "goal_not_met", [])


def test_an_escalation_inside_a_procedure_ends_the_whole_run():
    inner = Routine(Goal((READ,), "false"), (End("end", "escalated", "fraud"),))
    world = World()
    ending = play(book(Procedure("p", "p"), fix(), procedures={"p": inner}), world)
    assert (ending.reason, ending.step, world.acts) == ("fraud", "steps/p/steps/end", [])


def test_a_procedure_knows_only_what_it_is_given():
    inner = Routine(Goal((READ,), "secret == 1"), ())
    world = World()
    ending = play(book(Let("let", {"secret": "1"}), Procedure("p", "p"), procedures={"p": inner}), world)
    assert ending.reason == "check_failed"


def test_procedures_that_call_themselves_end():
    inner = Routine(Goal((READ,), "false"), (Procedure("p", "p"),))
    ending = play(book(Procedure("p", "p"), procedures={"p": inner}), World())
    assert (ending.verdict, ending.reason) == ("escalated", "check_failed")
    assert "more than 8 deep" in ending.note


def test_a_runbook_of_the_library_is_called_with_its_connectors_by_our_names():
    other = book(name="data", connectors={"system": "estate-eu"})
    there = Read(Call("system", "line"), "state")
    enable = fix("enable", act("enable"), check=(there,), when="!state.data")
    other = replace(other, routine=Routine(Goal((there,), "state.data"), (enable,)))
    ours = book(Procedure("data", "data"), fix(), connectors={"estate": "estate-eu"})
    world = lines(False, enable=lambda state: state.update(data=True))
    ending = play(ours, world, library={"data": other})
    assert ending.reason == "check_failed", "its act names an alias it does not declare"
    world = lines(True)
    assert play(ours, world, library={"data": other}).verdict == "verified"
    assert {effect.call.connector for effect in world.effects_seen if isinstance(effect, Observe)} == {"estate"}
    assert play(book(Procedure("data", "data")), lines(True), library={"data": other}).reason == "check_failed"


def test_a_runbook_of_the_library_asks_for_its_own_slots():
    color = Slot("color", "text", {"en": "Which color?"}, is_required=False)
    is_red = Goal((READ,), 'slots.color == "red"')
    other = replace(book(name="paint", slots=(color,)), routine=Routine(is_red, (Ask("ask", "color"),)))
    world = World(slots={"color": SlotReading("color", "read", "red")})
    assert play(book(Procedure("paint", "paint"), fix()), world, library={"paint": other}).verdict == "verified"
    assert "steps/paint/steps/ask" in world.paths


def test_an_unknown_procedure_hands_over():
    assert play(book(Procedure("p", "nobody")), World()).reason == "check_failed"


# slots, waiting, ends


def test_a_required_slot_is_asked_before_anything_is_read():
    phone = Slot("phone", "phone", {"en": "Which number?"})
    world = World(slots={"phone": SlotReading("phone", "read", "+15550123")})
    assert play(book(slots=(phone,)), world).verdict == "verified"
    assert world.paths[0] == "slots/phone"
    world = World()
    assert play(book(slots=(phone,)), world, slots={"phone": SlotReading("phone", "read", "+1")}).verdict == "verified"
    assert "slots/phone" not in world.paths


def test_silence_ends_the_run():
    phone = Slot("phone", "phone", {"en": "Which number?"})
    assert play(book(slots=(phone,)), World()).reason == "no_answer"
    assert play(book(Ask("ask", "refuel"), slots=(CONSENT,)), World()).reason == "needs_consent"


@pytest.mark.parametrize(
    ("reading", "acts", "reason"),
    [
        (None, [], "needs_consent"),
        (SlotReading("refuel", "unsure", Consent("given", Decimal(2), "GB")), [], "needs_consent"),
        (SlotReading("refuel", "read", Consent("absent")), [], "needs_consent"),
        (SlotReading("refuel", "read", Consent("refused")), [], "needs_consent"),
        (SlotReading("refuel", "read", Consent("given", Decimal(1), "GB")), [], "over_cap"),
        (SlotReading("refuel", "read", Consent("given", Decimal("2.0"), "GB")), ["unlock"], "goal_met"),
    ],
)
def test_only_a_consent_that_was_read_for_sure_lets_an_act_through(reading, acts, reason):
    guards = (
        guard('slots.refuel.status == "given"', "needs_consent"),
        guard("amount <= slots.refuel.amount", "over_cap"),
    )
    world = World()
    slots = {} if reading is None else {"refuel": reading}
    ending = play(
        book(fix("unlock", act(guards=guards, amount="2.0", unit="GB")), slots=(CONSENT,)), world, slots=slots
    )
    assert (world.acts, ending.reason) == (acts, reason)


def test_a_slot_is_asked_for_once_and_only_when_it_is_needed():
    world = World({"status": "frozen"}, slots={"refuel": SlotReading("refuel", "read", Consent("refused"))})
    play(book(Ask("no", "refuel", when="false"), Ask("one", "refuel"), Ask("two", "refuel"), slots=(CONSENT,)), world)
    assert [effect.path for effect in world.effects_seen if isinstance(effect, Inquire)] == ["steps/one"]


ASKING = Guard('slots.refuel.status == "given"', "needs_consent", ask="refuel")
SOME = replace(ASKING, that=f"{ASKING.that} && slots.refuel.amount != null && slots.refuel.amount >= 1")
SAID_YES, SAID_NO = (SlotReading("refuel", "read", Consent(said)) for said in ("given", "refused"))
SAID_TWO = SlotReading("refuel", "read", Consent("given", Decimal(2), "GB"))


def asking(*guards: Guard, **acts: Any) -> Runbook:
    return book(fix("unlock", act(guards=guards, **acts)), slots=(CONSENT,))


@pytest.mark.parametrize(
    ("said", "acts", "reason"),
    [(SAID_YES, ["unlock"], "goal_met"), (SAID_NO, [], "needs_consent"), (None, [], "needs_consent")],
)
def test_a_guard_asks_for_what_it_lacks_and_reads_the_check_again(said, acts, reason):
    world = World(slots={"refuel": said} if said else {})
    ending = play(asking(ASKING), world)
    assert (world.acts, ending.reason) == (acts, reason)
    asked = [path for path in world.paths if "/ask/" in path]
    assert asked == ["steps/unlock/ask/refuel"]
    after = world.paths[world.paths.index(asked[0]) + 1 :]
    assert (after[:1] == ["steps/unlock/check/account~2"]) == (said is not None), "hours may have passed"


def test_a_guard_asks_nothing_that_was_said_or_that_another_guard_forbids():
    for given, guards in (
        ({"refuel": SAID_YES}, (ASKING,)),
        ({"refuel": SAID_NO}, (ASKING,)),
        ({}, (guard("account.fraud", "fraud"), ASKING)),
        ({}, (Guard("paid.ok", "unpaid"), ASKING)),
    ):
        world = World()
        play(asking(*guards), world, slots=given)
        assert not any(isinstance(effect, Inquire) for effect in world.effects_seen)
    world = World({"status": "active"})
    play(asking(ASKING), world)
    assert not any(isinstance(effect, Inquire) for effect in world.effects_seen), "nothing is broken"


def test_a_yes_that_lacks_its_amount_is_asked_for_it():
    world = World(slots={"refuel": SAID_TWO})
    assert play(asking(SOME), world, slots={"refuel": SAID_YES}).reason == "goal_met"
    assert [effect.needs_amount for effect in world.effects_seen if isinstance(effect, Inquire)] == [True]
    assert play(asking(SOME), World(slots={"refuel": SAID_YES})).reason == "needs_consent"
    assert play(asking(ASKING), World(slots={"refuel": SAID_YES})).reason == "goal_met", "no limit is a yes, too"


def test_what_came_right_while_the_client_was_asked_is_left_alone():
    class Mending(World):
        def tell(self, effect):
            if isinstance(effect, Inquire):
                self.state["status"] = "active"
            return super().tell(effect)

    world = Mending(slots={"refuel": SAID_YES})
    ending = play(asking(ASKING), world)
    assert (ending.verdict, ending.reason, world.acts) == ("verified", "recovered", [])


def test_a_wait_holds_on_and_the_goal_is_read_afterwards():
    world = World({"status": "locked"}, on_pause=lambda state: state.update(status="active"))
    ending = play(book(Wait("wait", timedelta(minutes=5))), world)
    assert (ending.verdict, ending.reason) == ("verified", "recovered")
    assert next(effect.duration for effect in world.effects_seen if isinstance(effect, Pause)) == timedelta(minutes=5)


@pytest.mark.parametrize("verdict", ["escalated", "refused"])
def test_an_end_ends(verdict):
    ending = play(
        book(End("no", verdict, "never", when="false"), End("end", verdict, "policy", note="so"), fix()), World()
    )
    assert (ending.verdict, ending.reason, ending.note, ending.step) == (verdict, "policy", "so", "steps/end")


def test_a_reply_says_what_was_read_or_nothing():
    replies = {"verified": {"en": "It is {{account.status}} now, {{ contact.name }}.", "de": "{{account.nothing}}"}}
    assert play(book(replies=replies), World()).evidence["reply"] == {"en": "It is active now, Ana."}
    assert play(book(replies=replies), World({"status": "frozen"})).evidence["reply"] == {}
    rehearsal = World(answers={"unlock": Performed("simulated")})
    assert play(book(replies={"unverified": {"en": "x"}}), rehearsal).evidence["reply"] == {}


def test_long_values_stay_out_of_the_evidence():
    world = World({"status": "active", "log": "x" * 20_000})
    [check] = play(book(), world).evidence["checks"]
    assert "longer than" in check["values"]["account"]


def test_the_environment_given_is_left_as_it_was():
    from asoe.desk.runbook.interpreter import interpret

    given = environment()
    before = repr(given)
    going = interpret(book(Let("let", {"x": "1"})), environment=given)
    next(going)
    going.close()
    assert repr(given) == before
    assert LOCKED != ACTIVE
