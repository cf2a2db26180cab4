"""The hand of a run: breaker, turns, time limits, one error type, and a change that counts from the next call on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from asoe.connectors.contract import Action, ConnectorError, Health, Probe
from asoe.desk.breaker import Breaker
from asoe.desk.connector import Connectors, Hand, TransactionalHand


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def test_a_breaker_opens_after_failures_in_a_row_and_asks_once_before_it_closes():
    clock = Clock()
    breaker = Breaker(clock, opens_after=3, first_pause=30)
    for _ in range(2):
        assert breaker.wait() is None
        assert breaker.failed() is None
    breaker.succeeded()
    assert [breaker.failed() for _ in range(3)] == [None, None, 30]
    assert breaker.wait() == 30
    assert breaker.failed() is None, "a call that was on its way when the pause began prolongs nothing"
    clock.time += 30
    assert breaker.wait() is None, "the trial"
    assert breaker.wait() is not None, "only one"
    assert breaker.failed() == 60, "each pause is longer"
    clock.time += 61
    assert breaker.wait() is None
    breaker.abandoned()
    assert breaker.wait() is None, "a trial that told nothing is followed by another"
    breaker.succeeded()
    assert breaker.wait() is None
    assert not breaker.is_open
    pauses = []
    for _ in range(9):
        while (pause := breaker.failed()) is None:
            pass
        pauses.append(pause)
        clock.time += pause
        assert breaker.wait() is None
    assert pauses == [30, 60, 120, 240, 300, 300, 300, 300, 300]


@dataclass
class Fake:
    """A connector that does what the next of its `plans` says."""

    plans: list[Any] = field(default_factory=list)
    kind: str = "fake"
    calls: int = 0
    at_once: int = 0
    most_at_once: int = 0
    is_closed: bool = False
    is_called: asyncio.Event = field(default_factory=asyncio.Event)

    async def actions(self) -> dict[str, Action]:
        return {"look": Action("look", "read"), "go": Action("go", "costly")}

    async def read(self, action: str, arguments: Any, *, timeout: float) -> Any:
        return await self._do(timeout)

    async def act(self, action: str, arguments: Any, *, key: str, timeout: float) -> Any:
        return await self._do(timeout)

    async def probe(self, action: str, arguments: Any, *, key: str, timeout: float) -> Probe:
        return Probe("done", await self._do(timeout))

    async def health(self) -> Health:
        return Health(is_up=not self.plans)

    async def close(self) -> None:
        self.is_closed = True

    async def _do(self, timeout: float) -> Any:
        self.calls += 1
        self.is_called.set()
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            plan = self.plans.pop(0) if self.plans else None
            if isinstance(plan, asyncio.Event):
                await plan.wait()
            if isinstance(plan, BaseException):
                raise plan
            return {"timeout": timeout}
        finally:
            self.at_once -= 1


class Ledger(Fake):
    async def act_within(self, connection: Any, action: str, arguments: Any, *, key: str, org_id: Any) -> Any:
        return (connection, key, org_id)


def silence() -> ConnectorError:
    return ConnectorError("silence", permanent=False, effect="unknown")


ORG = uuid4()


async def hand_of(fake: Fake, **options: Any) -> Hand:
    return await Connectors.fixed({"crm": fake}, **options).use(ORG, "crm")


async def failure(call: Any) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        await call
    return caught.value


async def test_a_system_that_is_silent_is_left_alone_and_others_are_not():
    fake, other = Fake([silence() for _ in range(3)]), Fake()
    directory = Connectors.fixed({"crm": fake, "erp": other}, opens_after=3)
    hand = await directory.use(ORG, "crm")
    for _ in range(3):
        assert (await failure(hand.act("go", {}, key="k"))).effect == "unknown"
    again = await directory.use(ORG, "crm")
    error = await failure(again.act("go", {}, key="k"))
    assert (error.permanent, error.effect) == (False, "none"), "nothing was sent"
    assert error.retry_after
    assert fake.calls == 3
    await (await directory.use(ORG, "erp")).read("look", {})
    await (await directory.use(uuid4(), "crm")).read("look", {})
    assert (await again.health()).is_up
    await again.read("look", {})


async def test_a_refusal_shows_that_a_system_is_there():
    refusals = [ConnectorError("no", permanent=True), ConnectorError("later", permanent=False, retry_after=1.0)] * 5
    fake = Fake(list(refusals))
    hand = await hand_of(fake, opens_after=2)
    for _ in refusals:
        await failure(hand.read("look", {}))
    assert fake.calls == 10
    await hand.read("look", {})


async def test_only_so_many_calls_are_made_at_once():
    gate = asyncio.Event()
    fake = Fake([gate] * 30)
    hand = await hand_of(fake)
    calls = [asyncio.create_task(hand.read("look", {}, timeout=5)) for _ in range(30)]
    waited = await failure(hand.read("look", {}, timeout=0.05))
    assert (waited.permanent, waited.effect) == (False, "none")
    gate.set()
    assert len(await asyncio.gather(*calls)) == 30
    assert fake.most_at_once == 8


async def test_an_act_that_outlasts_its_time_is_ended_and_its_effect_unknown(monkeypatch):
    monkeypatch.setattr("asoe.desk.connector._MARGIN", 0.0)
    hand = await hand_of(Fake([asyncio.Event()]))
    error = await failure(hand.act("go", {}, key="k", timeout=0.05))
    assert (error.permanent, error.effect) == (False, "unknown")


@pytest.mark.parametrize(("method", "effect"), [("act", "unknown"), ("read", "none")])
async def test_a_fault_of_the_connector_itself_is_a_connector_error_too(method: str, effect: str):
    hand = await hand_of(Fake([KeyError("secret-in-a-message")]))
    error = await failure(hand.act("go", {}, key="k") if method == "act" else hand.read("look", {}))
    assert (error.permanent, error.effect) == (True, effect)
    assert "secret" not in error.message


async def test_a_cancelled_call_is_cancelled():
    fake = Fake([asyncio.Event()])
    hand = await hand_of(fake)
    call = asyncio.create_task(hand.act("go", {}, key="k"))
    await fake.is_called.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await hand.read("look", {})


async def test_a_read_never_calls_what_has_an_effect():
    fake = Fake()
    error = await failure((await hand_of(fake)).read("go", {}))
    assert "is no read" in error.message
    assert fake.calls == 0


async def test_a_connector_that_is_not_there_is_said_so():
    error = await failure(Connectors.fixed({}).use(ORG, "crm"))
    assert (error.permanent, error.effect) == (True, "none")


async def test_only_a_ledger_acts_within_a_transaction():
    assert not isinstance(await hand_of(Fake()), TransactionalHand)
    hand = await hand_of(Ledger())
    assert isinstance(hand, TransactionalHand)
    assert await hand.act_within("connection", "go", {}, key="k", org_id=ORG) == ("connection", "k", ORG)


async def test_closing_the_directory_closes_what_it_opened():
    fake = Fake()
    directory = Connectors.fixed({"crm": fake})
    hand = await directory.use(ORG, "crm")
    await directory.close()
    assert fake.is_closed
    assert (await failure(hand.read("look", {}))).effect == "none"
