"""The client without `await` is written from the other, its values are the API's, and it asks only for what there is."""

from __future__ import annotations

import inspect
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints
from uuid import uuid4

import httpx
import pytest

from asoe.api import answers, run_shapes
from asoe.api.permissions import RULES
from asoe.client import Asoe, AsyncAsoe, Missing, Patience, Unavailable, shapes

ROOT = Path(__file__).parents[2]
SAME = {
    shapes.Ticket: answers.TicketOut,
    shapes.Message: answers.MessageInSession,
    shapes.Session: answers.SessionOut,
    shapes.SessionWithMessages: answers.SessionWithMessages,
    shapes.Stats: answers.StatsOut,
    shapes.Fact: answers.FactOut,
    shapes.Invocation: answers.InvocationOut,
    shapes.Pass: answers.RunOut,
    shapes.Escalation: answers.EscalationOut,
    shapes.Attachment: answers.AttachmentOut,
    shapes.Article: answers.ArticleOut,
    shapes.Passage: answers.PassageOut,
    shapes.Runbook: run_shapes.RunbookOut,
    shapes.Run: run_shapes.RunOut,
    shapes.RunRecord: run_shapes.RunRecordOut,
    shapes.Approval: run_shapes.ApprovalOut,
    shapes.Me: answers.PrincipalOut,
}
ARGUMENTS: dict[str, Any] = {
    "number": 7,
    "status": "closed",
    "content": "Hello",
    "name": "log.txt",
    "runbook": "unlock-account",
    "vote": "approve",
    "question": "How?",
    "before": datetime.now(UTC),
}


def test_the_twin_is_up_to_date():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from write_sync_client import without_await
    finally:
        sys.path.pop(0)
    source = (ROOT / "src/asoe/client/asynchronous.py").read_text(encoding="utf-8")
    written = (ROOT / "src/asoe/client/synchronous.py").read_text(encoding="utf-8")
    assert written == without_await(source), "run .venv/bin/python scripts/write_sync_client.py"


@pytest.mark.parametrize("shape", SAME, ids=lambda shape: shape.__name__)
def test_each_value_has_the_fields_of_the_answer(shape: type):
    answered = SAME[shape].model_fields
    hints = get_type_hints(shape)
    assert hints.keys() == answered.keys()
    for name, field in answered.items():
        assert may_be_none(hints[name]) == may_be_none(field.annotation), name


def may_be_none(kind: Any) -> bool:
    return type(None) in get_args(kind)


async def test_both_clients_ask_only_for_routes_there_are():
    asked: dict[str, set[tuple[str, str]]] = {"async": set(), "sync": set()}

    def refuse(kind: str):
        def handler(request: httpx.Request) -> httpx.Response:
            asked[kind].add(route_of(request))
            return httpx.Response(404)

        return httpx.MockTransport(handler)

    async with AsyncAsoe("http://asoe.test", "key", transport=refuse("async"), patience=Patience(1)) as asoe:
        for method in methods(asoe):
            with pytest.raises(Missing):
                await first(method(**needed(method)))
    with Asoe("http://asoe.test", "key", transport=refuse("sync"), patience=Patience(1)) as twin:
        for method in methods(twin):
            with pytest.raises(Missing):
                any(drawn(method(**needed(method))))
    assert asked["async"] == asked["sync"]
    assert len(asked["async"]) > 25


async def first(called: Any) -> Any:
    return await (anext(called) if inspect.isasyncgen(called) else called)


def drawn(called: Any) -> Any:
    return called if inspect.isgenerator(called) else ()


def methods(client: Any) -> list[Any]:
    apart = {"close", "request"}
    return [one for name, one in inspect.getmembers(client, inspect.ismethod) if name[0] != "_" and name not in apart]


def needed(method: Any) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.default is inspect.Parameter.empty and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            given[name] = b"text" if (method.__name__, name) == ("attach", "content") else ARGUMENTS.get(name, uuid4())
    return given


def route_of(request: httpx.Request) -> tuple[str, str]:
    for method, path in RULES:
        pattern = re.sub(r"\{[a-z_]+\}", "[^/]+", path)
        if method == request.method and re.fullmatch(pattern, request.url.path):
            return method, path
    raise AssertionError(f"there is no route {request.method} {request.url.path}")


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, text="<html>hello</html>"), httpx.Response(200, json=[]), httpx.Response(200, json={"id": 1})],
    ids=["a page", "a list", "something else"],
)
def test_what_is_no_answer_of_ours_is_said_to_be_none(answer: httpx.Response):
    with (
        Asoe("http://asoe.test", "key", transport=httpx.MockTransport(lambda _: answer)) as asoe,
        pytest.raises(Unavailable) as caught,
    ):
        asoe.get_ticket(uuid4())
    assert caught.value.code == "unreadable_answer"
