"""Whatever people, client, engine and time do in whatever order: legal moves only, and a ticket that nobody forgets."""

from __future__ import annotations

import asyncio
import contextlib
import random
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asoe.desk import housekeeping, journey, session, ticket
from asoe.domain.errors import AsoeError
from asoe.domain.escalation import missing_fields
from asoe.domain.ticket import STATUSES

OPENINGS = (
    "How?",
    "lost #severity:critical",
    "it broke #need:vague",
    "thanks #intent:thanks_or_feedback",
    "PERSON",
    "ciao #lang:it",
)
ACTS = (
    *(f"client:{words}" for words in ("yes", "no", "PERSON", "hm")),
    *(f"move:{status}" for status in STATUSES),
    "advance", "advance", "wait:1", "wait:49", "wait:200", "speak", "take_over", "hand_back", "further", "quiet",
    "spam", "unspam", "merge", "reopen", "client_resolves", "staff_resolves", "critical", "fail",
)  # fmt: skip


async def carry_out(world, made, other, act):
    desk, agent, client = world.desk, world.acme.agent, world.acme.client
    kind, _, detail = act.partition(":")
    match kind:
        case "client":
            await world.say(made, detail)
        case "move":
            await ticket.move_ticket(desk, agent, made.id, detail)
        case "advance":
            await world.advance(made)
        case "wait":
            world.clock.move(hours=int(detail))
            await housekeeping.wake_due(desk)
        case "speak":
            await world.say(made, "from Ben", by=agent, role="agent")
        case "take_over":
            await session.take_over(desk, agent, made.session_id)
        case "hand_back":
            await session.hand_back(desk, agent, made.session_id)
        case "further":
            await session.start_session(desk, client, made.id)
        case "quiet":
            await session.start_session(desk, agent, made.id, "human")
        case "spam":
            await ticket.mark_spam(desk, agent, made.id)
        case "unspam":
            await ticket.mark_spam(desk, agent, made.id, is_spam=False)
        case "merge":
            await ticket.merge_ticket(desk, agent, made.id, into=other.id)
        case "reopen":
            await ticket.reopen_ticket(desk, agent, made.id)
        case "client_resolves":
            await session.resolve_session(desk, client, made.session_id)
        case "staff_resolves":
            await session.resolve_session(desk, agent, made.session_id)
        case "critical":
            await ticket.change_ticket(desk, agent, made.id, {"severity": "critical"})
        case "fail":
            await journey.fail(desk, world.acme.org_id, made.id, cause="Planted")


async def check_whole(world, made):
    """What holds of a ticket whenever nothing is left to do for it."""
    now, stands = await world.now(made), await world.journey(made)
    sessions = await world.rows(
        "select assistant_type, resolved from public.support_sessions where ticket_id = $1", made.id
    )
    open_escalations = [row for row in await world.escalations(made) if row["ended_at"] is None]
    is_quiet = any(row["assistant_type"] != "ai" for row in sessions)
    if now.status in {"resolved", "closed"}:
        assert now.waiting_for is None
        assert now.resolution["verdict"] in {"verified", "unverified", "answered", "refused", "handed_over"}
        assert open_escalations == []
        assert (stands["due_at"] is not None) == (now.status == "resolved")
        assert (now.closed_at is not None) == (now.status == "closed")
        assert now.is_spam or now.merged_into or now.resolved_at is not None
    else:
        assert now.waiting_for in {"client", "person"}, f"{now.status} waits for nothing"
        assert now.resolved_at is None
        assert now.closed_at is None
        assert not now.is_spam
        assert now.merged_into is None
        if now.status == "escalated":
            assert open_escalations
        if now.waiting_for == "client" and not is_quiet:
            assert stands["due_at"] is not None, "a silent client would be waited for for ever"
        if is_quiet:
            assert stands["due_at"] is None
    for row in await world.escalations(made):
        assert missing_fields(row["dossier"]) == ()


async def play(world, opening, acts, *, at_once=False):
    other = await world.open_by_contact(f"other {uuid4()}")
    made = await world.open_by_contact(f"{opening} {uuid4()}", email=f"{uuid4()}@example.org")
    await world.owner.execute(
        "update public.support_tickets set user_id = $2 where id = $1", made.id, world.acme.client.user_id
    )

    async def one(act):
        with contextlib.suppress(AsoeError):
            await carry_out(world, made, other, act)

    if at_once:
        await asyncio.gather(*(one(act) for act in acts))
    else:
        for act in acts:
            quiet_before = await is_quiet(world, made)
            said = len(await world.said_by_engine(made))
            await one(act)
            if quiet_before and await is_quiet(world, made) and act not in {"unspam", "reopen"}:
                assert len(await world.said_by_engine(made)) == said, f"the engine spoke into a person's session: {act}"
    await world.drain()
    await check_whole(world, made)


async def is_quiet(world, made):
    return await world.one(
        "select exists (select from public.support_sessions where ticket_id = $1 and assistant_type <> 'ai')", made.id
    )


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(opening=st.sampled_from(OPENINGS), acts=st.lists(st.sampled_from(ACTS), min_size=1, max_size=8))
async def test_any_order_of_acts_is_legal_and_leaves_nobody_waiting_in_vain(world, opening, acts):
    await play(world, opening, acts)


@pytest.mark.parametrize("seed", range(6))
async def test_any_acts_at_once_leave_nobody_waiting_in_vain(world, seed):
    chance = random.Random(seed)
    for _ in range(6):
        await play(world, chance.choice(OPENINGS), chance.choices(ACTS, k=8), at_once=True)
