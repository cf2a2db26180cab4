"""What the ticket page says of a pass: who began it, each agent's part with time and tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from asoe.web.ticket import readable_run

AT = datetime(2026, 11, 23, tzinfo=UTC)
AGENT = uuid4()


def part(**more: Any) -> dict[str, Any]:
    return {
        "agent": "triage",
        "engine_type": "local",
        "input": {},
        "output": {"category": "billing"},
        "status": "completed",
        "tokens_in": 0,
        "tokens_out": 0,
        "started_at": AT.isoformat(),
        "ended_at": (AT + timedelta(milliseconds=12)).isoformat(),
        **more,
    }


def test_the_engines_own_pass_names_nobody():
    shown = readable_run({"initiator": "worker", "invocations": [part()]}, {})
    assert shown["begun_by"] == ""
    assert shown["invocations"][0]["about"] == "12 ms"
    assert shown["invocations"][0]["output"] == '"category": "billing"'


def test_an_outside_agents_pass_names_its_account():
    run = {"initiator": f"mcp:{AGENT}", "invocations": [part(engine_type="mcp", ended_at=None, tokens_in=3)]}
    assert readable_run(run, {AGENT: "Cursor"})["begun_by"] == "Cursor over MCP"
    shown = readable_run(run, {})
    assert shown["begun_by"] == "an outside agent over MCP"
    assert shown["invocations"][0]["about"] == "MCP, 3 tokens"
