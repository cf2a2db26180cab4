"""Late, crashed and zombie runs of a real Prefect server: found for their client only, reset once whatever breaks, and seen to
move. One server serves the whole file; where the worker itself is not the matter, it is played over the same API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from prefect_cast import (
    BREAKS,
    CRASHED,
    LATE,
    PENDING,
    RUNNING,
    SUSPENDED,
    Line,
    Prefect,
    prefect_at,
    prefect_server,
    worker_of,
)
from runs_cast import World, connect
from tests.connectors.connector_cast import served

from asoe.connectors.contract import ConnectorError
from asoe.connectors.kinds import Opening
from asoe.connectors.prefect import PREFECT, PrefectConnector, open_prefect
from asoe.desk.runbook import lint
from asoe.domain.errors import Invalid

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(900)]

RUNBOOK = (Path(lint.__file__).parent / "shipped" / "prefect-reset.yaml").read_text(encoding="utf-8")
MOMENT = 0.01  # minutes of silence that count, where a test wants a zombie soon


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with prefect_server(tmp_path_factory.mktemp("prefect")) as url:
        yield url


@pytest.fixture
async def http(address):
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        yield client


@pytest.fixture
async def prefect(http) -> Prefect:
    return await prefect_at(http)


@pytest.fixture
def client() -> str:
    return f"c-{uuid4()}"


@asynccontextmanager
async def opened(url: str, **config) -> AsyncIterator[PrefectConnector]:
    made = open_prefect(
        Opening(UUID(int=1), "prefect", {"url": url, "allow_http": True, **config}, {}, allow_private=True)
    )
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def connector(address):
    async with opened(address) as made:
        yield made


async def reset(connector: PrefectConnector, run_id: str, key: str = "k1", **more):
    return await connector.act("reset_run", {"id": run_id, **more}, key=key, timeout=20)


async def zombie(connector: PrefectConnector, run_id: str) -> bool:
    """Whether it becomes one within the time that a busy machine needs."""
    for _ in range(100):
        if (await connector.read("get_run", {"id": run_id}, timeout=20))["is_zombie"]:
            return True
        await asyncio.sleep(0.1)
    return False


async def test_what_is_stuck_is_told_from_what_goes_well(connector, prefect, client):
    tag = f"client:{client}"
    late = await prefect.run(LATE, tag=tag)
    unnoticed = await prefect.run(tag=tag)  # due for an hour, and Prefect has not marked it
    crashed = await prefect.run(PENDING, RUNNING, CRASHED, tag=tag)
    running = await prefect.run(PENDING, RUNNING, tag=tag)
    to_come = await prefect.run(tag=tag, due=timedelta(hours=-1))
    await prefect.run(LATE, tag=f"client:{client}2")
    found = await connector.read("find_runs", {"client": client}, timeout=20)
    assert found["has_more"] is False
    runs = {run["id"]: run for run in found["items"]}
    assert runs.keys() == {late, unnoticed, crashed, running, to_come}
    assert {run_id for run_id, run in runs.items() if run["is_stuck"]} == {late, unnoticed, crashed}
    assert (runs[late]["is_late"], runs[unnoticed]["is_late"], runs[crashed]["is_crashed"]) == (True, True, True)
    assert {run_id for run_id, run in runs.items() if run["is_moving"]} == {running}
    assert (runs[crashed]["flow"], runs[crashed]["run_count"], runs[late]["run_count"]) == ("nightly", 1, 0)
    old = {"client": client, "states": ["CRASHED", "SCHEDULED"], "older_than_minutes": 30, "within_hours": 2}
    assert {run["id"] for run in (await connector.read("find_runs", old, timeout=20))["items"]} == {
        late,
        unnoticed,
        crashed,
    }
    one = await connector.read("find_runs", {"client": client, "limit": 1}, timeout=20)
    assert (len(one["items"]), one["has_more"]) == (1, True)
    assert (await connector.health()).is_up


async def test_a_run_is_a_zombie_only_while_nothing_is_heard_of_it(address, prefect, client):
    run_id = await prefect.run(PENDING, RUNNING, tag=f"client:{client}")
    async with opened(address, silent_minutes=MOMENT) as hasty, opened(address) as patient:
        assert await zombie(hasty, run_id)
        assert not (await patient.read("get_run", {"id": run_id}, timeout=20))["is_zombie"]
        with pytest.raises(ConnectorError, match="Running and not stuck"):
            await reset(patient, run_id)
        await prefect.heartbeat(run_id, datetime.now(UTC) + timedelta(hours=1))
        for _ in range(100):  # Prefect keeps events in batches
            seen = await hasty.read("get_run", {"id": run_id}, timeout=20)
            if not seen["is_zombie"]:
                break
            await asyncio.sleep(0.1)
        assert (seen["is_zombie"], seen["is_stuck"], seen["is_moving"]) == (False, False, True)


async def test_one_key_is_one_reset_even_after_the_run_went_on(connector, prefect, client):
    run_id = await prefect.run(PENDING, RUNNING, CRASHED, tag=f"client:{client}")
    assert (await connector.probe("reset_run", {"id": run_id}, key="k1", timeout=20)).status == "not_done"
    first = await reset(connector, run_id)
    assert (first["state_name"], first["message"].endswith(" asoe:k1")) == ("AwaitingRetry", True)
    for state in (PENDING, RUNNING, CRASHED):
        await prefect.set_state(run_id, state)
    assert await reset(connector, run_id) == first
    found = await connector.probe("reset_run", {"id": run_id}, key="k1", timeout=20)
    assert (found.status, found.value) == ("done", first)
    assert (await connector.probe("reset_run", {"id": run_id}, key="k", timeout=20)).status == "not_done"
    assert (await prefect.states(run_id)).count("AwaitingRetry") == 1
    await reset(connector, run_id, key="k2")
    assert (await prefect.states(run_id)).count("AwaitingRetry") == 2


async def test_a_real_worker_takes_up_what_was_reset(connector, address, http, client, tmp_path):
    with worker_of(address, tmp_path) as deployment_url:
        deployment = (await http.get(deployment_url)).json()
        prefect = Prefect(http, deployment["flow_id"], deployment["id"])
        # not due yet, so that the worker leaves it alone until the reset
        run_id = await prefect.run(CRASHED, tag=f"client:{client}", due=timedelta(hours=-1))
        await reset(connector, run_id)
        for _ in range(1000):
            run = await connector.read("get_run", {"id": run_id}, timeout=20)
            if run["state_type"] == "COMPLETED":
                break
            await asyncio.sleep(0.2)
        assert (run["state_name"], run["is_stuck"], run["is_moving"]) == ("Completed", False, True)
    assert (await prefect.states(run_id)).count("AwaitingRetry") == 1


async def test_the_same_key_twice_at_once_is_one_reset(connector, prefect, client):
    run_id = await prefect.run(LATE, tag=f"client:{client}")
    await asyncio.gather(*(reset(connector, run_id) for _ in range(4)))
    assert (await prefect.states(run_id)).count("AwaitingRetry") == 1


async def test_what_must_not_be_reset_is_refused_and_stays_as_it_was(connector, prefect, client):
    tag = f"client:{client}"
    by_hand = await prefect.run(PENDING, RUNNING, CRASHED, tag=tag, deployed=False)
    done = await prefect.run(PENDING, RUNNING, {"type": "COMPLETED"}, tag=tag)
    to_come = await prefect.run(tag=tag, due=timedelta(hours=-1))
    changed = await prefect.run(LATE, tag=tag)
    for run_id, more, why in (
        (by_hand, {}, "no deployment"),
        (done, {}, "not stuck"),
        (to_come, {}, "not stuck"),
        (changed, {"state_id": str(uuid4())}, "has changed"),
    ):
        before = await prefect.states(run_id)
        with pytest.raises(ConnectorError, match=why) as refused:
            await reset(connector, run_id, **more)
        assert (refused.value.permanent, refused.value.effect) == (True, "none")
        assert await prefect.states(run_id) == before
    with pytest.raises(ConnectorError) as missing:
        await reset(connector, str(uuid4()))
    assert missing.value.is_missing
    assert (await connector.probe("reset_run", {"id": str(uuid4())}, key="k1", timeout=20)).status == "unknown"


async def test_runs_are_cancelled_and_resumed_as_prefect_has_it(connector, prefect, client):
    tag = f"client:{client}"
    late, running = await prefect.run(LATE, tag=tag), await prefect.run(PENDING, RUNNING, tag=tag)
    paused = await prefect.run(PENDING, RUNNING, SUSPENDED, tag=tag)
    for action, run_id, name in (
        ("cancel_run", late, "Cancelled"),
        ("cancel_run", running, "Cancelling"),
        ("resume_run", paused, "Resuming"),
    ):
        done = await connector.act(action, {"id": run_id}, key=f"k-{action}", timeout=20)
        assert done["state_name"] == name
        assert (await connector.probe(action, {"id": run_id}, key=f"k-{action}", timeout=20)).value == done
        with pytest.raises(ConnectorError, match="is not done"):
            await connector.act(action, {"id": run_id}, key="another", timeout=20)
    history = (await connector.read("list_states", {"id": paused}, timeout=20))["items"]
    assert [state["state_name"] for state in history][-3:] == ["Running", "Suspended", "Resuming"]


async def test_wrong_calls_reach_nobody(connector):
    for action, arguments in (
        ("find_runs", {"client": ""}),
        ("get_run", {"id": "../admin/settings"}),
        ("get_run", {"id": f"{uuid4()}?x=1"}),
        ("delete_run", {"id": str(uuid4())}),
        ("reset_run", {"id": str(uuid4())}),
    ):
        with pytest.raises(ConnectorError) as refused:
            await connector.read(action, arguments, timeout=5)
        assert refused.value.permanent


async def test_a_configuration_that_cannot_work_is_refused():
    for config in ({}, {"url": "http://prefect.example/api"}, {"url": "https://p.example", "silent_minutes": 0}):
        with pytest.raises(Invalid, match="cannot be used"):
            await PREFECT.prepare(Opening(UUID(int=1), "prefect", config, {}), config)


# --- the shipped runbook, end to end ---


@asynccontextmanager
async def desk_of(world: World, http: httpx.AsyncClient, client: str, **config) -> AsyncIterator[tuple[Line, UUID]]:
    """The runbook shelved over a line that breaks, and a ticket of that client."""
    line = Line(http)
    async with served(line.application()) as line.url, opened(line.url, read_seconds=1, **config) as connector:
        connect(world, prefect=connector)
        await world.shelve(RUNBOOK)
        ticket = await world.ticket(subject="My workflow hangs")
        contact = await world.owner.fetchval(
            "insert into asoe.contacts (org_id, external_id, name) values ($1, $2, 'Kim') returning id",
            world.org.org_id,
            client,
        )
        await world.owner.execute(
            "update public.support_tickets set contact_id = $2, user_id = null where id = $1", ticket, contact
        )
        yield line, ticket


def taken_by(prefect: Prefect):
    async def take(run_id: str) -> None:
        for state in (PENDING, RUNNING):
            await prefect.set_state(run_id, state)

    return take


@pytest.mark.parametrize("fault", ["", *BREAKS])
async def test_a_crashed_run_is_reset_once_whatever_breaks(world, http, prefect, client, fault):
    run_id = await prefect.run(PENDING, RUNNING, CRASHED, tag=f"client:{client}")
    async with desk_of(world, http, client) as (line, ticket):
        line.worker = taken_by(prefect)
        line.breaks.extend([fault] if fault else [])
        done = await world.carry_through(await world.start("prefect-reset", on=ticket))
        assert (done.status, done.reason) == ("verified", "goal_met")
        assert (await prefect.states(run_id))[-3:] == ["AwaitingRetry", "Pending", "Running"]
        assert (await prefect.states(run_id)).count("AwaitingRetry") == 1
        assert line.changes == 1
        again = await world.carry_through(await world.start("prefect-reset", on=ticket))
        assert (again.status, again.reason) == ("unverified", "already_met")


async def test_late_crashed_and_zombie_runs_of_the_client_move_and_nobody_elses(world, http, prefect, client):
    tag = f"client:{client}"
    theirs = [await prefect.run(*states, tag=tag) for states in ((LATE,), (PENDING, RUNNING, CRASHED))]
    others = await prefect.run(LATE, tag="client:somebody-else")
    async with desk_of(world, http, client) as (line, ticket):
        line.worker = taken_by(prefect)
        done = await world.carry_through(await world.start("prefect-reset", on=ticket))
        assert (done.status, done.reason) == ("verified", "goal_met")
        assert [(await prefect.states(run_id))[-1] for run_id in theirs] == ["Running", "Running"]
        assert (await prefect.states(others))[-1] == "Late"


async def test_a_zombie_is_reset_and_moves(world, http, prefect, client):
    run_id = await prefect.run(PENDING, RUNNING, tag=f"client:{client}")

    async def finish(run: str) -> None:
        for state in (PENDING, RUNNING, {"type": "COMPLETED"}):
            await prefect.set_state(run, state)

    async with desk_of(world, http, client, silent_minutes=MOMENT) as (line, ticket):
        line.worker = finish
        async with opened(line.url, silent_minutes=MOMENT) as watching:  # by the clock that the runbook goes by
            assert await zombie(watching, run_id)
        done = await world.carry_through(await world.start("prefect-reset", on=ticket))
        assert (done.status, done.reason) == ("verified", "goal_met")
        assert (await prefect.states(run_id)).count("AwaitingRetry") == 1


async def test_a_run_that_no_worker_takes_is_a_persons(world, http, prefect, client):
    run_id = await prefect.run(LATE, tag=f"client:{client}")
    async with desk_of(world, http, client) as (_, ticket):
        done = await world.carry_through(await world.start("prefect-reset", on=ticket), most=60)
        assert (done.status, done.reason) == ("escalated", "verification_failed")
        assert (await prefect.states(run_id)).count("AwaitingRetry") == 1
        again = await world.carry_through(await world.start("prefect-reset", on=ticket), most=60)
        assert again.status != "verified"
        assert (await prefect.states(run_id)).count("AwaitingRetry") == 1


async def test_more_stuck_runs_than_it_may_touch_are_a_persons(world, http, prefect, client):
    runs = [await prefect.run(LATE, tag=f"client:{client}") for _ in range(6)]
    async with desk_of(world, http, client) as (line, ticket):
        done = await world.carry_through(await world.start("prefect-reset", on=ticket))
        assert (done.status, done.reason) == ("escalated", "over_cap")
        assert line.changes == 0
        assert {(await prefect.states(run_id))[-1] for run_id in runs} == {"Late"}
