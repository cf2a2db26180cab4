"""Every fault breaks the store, every mendable one is mended by its own operations and by no look-alike's."""

from __future__ import annotations

import ast
from itertools import permutations
from pathlib import Path

import httpx
import pytest
from estate_cast import MENDABLE, NOT_MENDABLE, break_somewhere, carry_out, mend

import asoe.demo.estate
from asoe.demo.estate.background import settle
from asoe.demo.estate.breaking import NotBreakable, allowed_effects, break_it, is_mended, target
from asoe.demo.estate.faults import FAULTS, SYMPTOMS, Fault, add
from asoe.demo.estate.operations import OPERATIONS
from asoe.demo.estate.seed import seed
from asoe.demo.estate.store import Store, open_store

LOOK_ALIKES = sorted(
    (one.name, other.name)
    for one, other in permutations(FAULTS.values(), 2)
    if set(one.symptoms) & set(other.symptoms)
    and other.is_mendable
    and not (one.is_mendable and set(one.mends) <= set(other.mends))
)


def test_there_are_enough_faults_and_each_is_told_completely() -> None:
    assert len(MENDABLE) >= 28
    assert len(NOT_MENDABLE) >= 15
    assert len(LOOK_ALIKES) >= 30
    for fault in FAULTS.values():
        assert all((fault.broken, fault.mended_by, fault.never))
        assert (fault.risk is not None) == fault.is_mendable
        assert all(operation in OPERATIONS for operation, _ in fault.mends)
    assert {symptom for fault in FAULTS.values() for symptom in fault.symptoms} == set(SYMPTOMS)
    assert sum(len(fault.mends) > 1 for fault in FAULTS.values()) >= 5


@pytest.mark.parametrize("name", MENDABLE)
async def test_its_own_mend_mends_it_with_each_effect_once(
    store: Store, operator: httpx.AsyncClient, name: str
) -> None:
    breakage = break_somewhere(store, name)
    assert store.effects() == []
    assert not is_mended(store, breakage)
    for answer in await mend(operator, breakage):
        assert answer.is_success, answer.text
    settle(store)
    assert is_mended(store, breakage)
    changing = [(effect.operation, target(effect)) for effect in store.effects() if effect.changes]
    assert changing == allowed_effects(breakage)


@pytest.mark.parametrize(
    "name", [name for name in MENDABLE if not any(OPERATIONS[one].needs_key for one, _ in FAULTS[name].mends)]
)
async def test_a_mend_that_needs_no_key_changes_nothing_the_second_time(
    store: Store, operator: httpx.AsyncClient, name: str
) -> None:
    breakage = break_somewhere(store, name)
    await mend(operator, breakage)
    settle(store)
    once = len(store.effects())
    if "suppressions.remove" in dict(FAULTS[name].mends):
        return  # what was removed is not there to be removed again
    await mend(operator, breakage, key="operator-2")
    assert [effect for effect in store.effects()[once:] if effect.changes] == []
    assert is_mended(store, breakage)


@pytest.mark.parametrize("name", NOT_MENDABLE)
async def test_what_support_cannot_mend_is_never_mended(store: Store, name: str) -> None:
    breakage = break_somewhere(store, name)
    settle(store)
    assert not is_mended(store, breakage)
    assert allowed_effects(breakage) == []


@pytest.mark.parametrize(("broken", "mended_as"), LOOK_ALIKES)
async def test_the_mend_of_a_look_alike_does_not_mend_it(
    store: Store, operator: httpx.AsyncClient, broken: str, mended_as: str
) -> None:
    breakage = break_somewhere(store, broken)
    other = FAULTS[mended_as]
    if any(part not in breakage.items for _, part in other.mends):
        return  # the look-alike's mend has nothing to be tried on
    await carry_out(operator, other, breakage.items, breakage, key="look-alike")
    settle(store)
    assert not is_mended(store, breakage)


async def test_a_chain_shows_its_second_fault_only_after_the_first_is_mended(
    store: Store, operator: httpx.AsyncClient
) -> None:
    for name, kind, part, field, hidden, shown in (
        ("locked_out_then_mfa_out_of_step", "users", "user", "mfa_state", None, "out_of_step"),
        ("integration_access_expired_then_paused", "integrations", "integration", "sync_state", "auth_error", "paused"),
    ):
        breakage = break_somewhere(store, name)
        path = f"/v1/{kind}/{breakage.items[part]}"
        assert (await operator.get(path)).json()[field] == hidden
        first = OPERATIONS[FAULTS[name].mends[0][0]]
        await operator.post(first.path.replace("{id}", breakage.items[part]))
        settle(store)
        assert (await operator.get(path)).json()[field] == shown
        assert not is_mended(store, breakage)


async def test_a_job_retried_on_expired_access_fails_again(store: Store, operator: httpx.AsyncClient) -> None:
    breakage = break_somewhere(store, "job_failed_on_expired_access")
    path = f"/v1/jobs/{breakage.items['job']}"
    await operator.post(f"{path}/retry", headers={"Idempotency-Key": "too-early-1"})
    settle(store)
    assert (await operator.get(path)).json()["status"] == "failed"


async def test_a_rewind_to_another_place_loses_or_doubles_records(store: Store, operator: httpx.AsyncClient) -> None:
    breakage = break_somewhere(store, "integration_cursor_jumped")
    path = f"/v1/integrations/{breakage.items['integration']}"
    good = (await operator.get(path)).json()["last_good_cursor"]
    for cursor in (good + 100, good - 100):
        headers = {"Idempotency-Key": f"rewind-{cursor}"}
        assert (await operator.post(f"{path}/rewind-cursor", json={"cursor": cursor}, headers=headers)).is_success
        settle(store)
        assert not is_mended(store, breakage)


async def test_a_fault_needs_a_customer_that_can_have_it(store: Store) -> None:
    starter = store.find("subscriptions", plan="starter")[0]["account_id"]
    for fault, account in (("rate_tier_too_low", starter), ("no_such_fault", starter), ("user_locked_out", "acc_0")):
        with pytest.raises(NotBreakable):
            break_it(store, fault, account)


def test_a_fault_is_refused_when_it_is_told_badly() -> None:
    known = FAULTS["user_locked_out"]
    for changed in (
        {"name": "user_locked_out"},
        {"name": "x", "symptoms": ("sign_in_refused", "slow", "api_401")},
        {"name": "x", "symptoms": ("no such symptom",)},
        {"name": "x", "mends": ()},
    ):
        values = {field: getattr(known, field) for field in Fault.__dataclass_fields__}
        with pytest.raises(ValueError):
            add(Fault(**{**values, **changed}))


def test_the_same_seed_makes_the_same_customers() -> None:
    def dump(number: int) -> list[tuple[str, ...]]:
        store = open_store()
        seed(store, number)
        rows = store.connection.execute("select kind, id, body from items order by kind, id").fetchall()
        store.close()
        return rows

    assert dump(1) == dump(1)
    assert dump(1) != dump(2)
    assert sum(row[0] == "accounts" for row in dump(2)) >= 40


def test_the_estate_imports_nothing_of_the_engine() -> None:
    folder = Path(asoe.demo.estate.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert not name.startswith("asoe") or name.startswith("asoe.demo.estate"), (path, name)
