"""What Zendesk, Chatwoot and tables say becomes the same ticket here; what cannot be read is named by its place."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from asoe.domain.errors import Invalid
from asoe.domain.foreign import ForeignTicket, RowProblem, read

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ZENDESK = {
    "tickets": [
        {
            "id": 35436,
            "subject": "Help",
            "description": "The fire is very colorful.",
            "status": "solved",
            "priority": "urgent",
            "tags": ["enterprise"],
            "requester_id": 20978392,
            "created_at": "2025-07-20T22:55:29Z",
            "updated_at": "2025-08-05T10:38:52Z",
            "comments": [
                {"author_id": 20978392, "body": "The fire is very colorful.", "created_at": "2025-07-20T22:55:29Z"},
                {"author_id": 1, "body": "Call them", "public": False, "created_at": "2025-07-21T00:00:00Z"},
                {"author_id": 1, "body": "Water is on its way.", "public": True, "created_at": "2025-07-21T00:01:00Z"},
            ],
        }
    ],
    "users": [{"id": 20978392, "name": "Ana", "email": "Ana@Example.com"}],
}
CHATWOOT = {
    "data": {
        "payload": [
            {
                "id": 7,
                "status": "open",
                "created_at": 1753000000,
                "labels": ["vip"],
                "meta": {"sender": {"name": "Ben", "email": "ben@example.com", "phone_number": None}},
                "messages": [
                    {"content": "Hello?", "message_type": 0, "created_at": 1753000000},
                    {"content": "Conversation was opened", "message_type": 2, "created_at": 1753000001},
                    {"content": "Hi Ben", "message_type": 1, "created_at": 1753000100},
                ],
            }
        ]
    }
}


def one(source: str, text: str) -> ForeignTicket:
    (found,) = read(source, text, now=NOW)
    assert isinstance(found, ForeignTicket), found
    return found


def test_zendesk() -> None:
    ticket = one("zendesk", json.dumps(ZENDESK))
    assert (ticket.external_id, ticket.status, ticket.severity) == ("35436", "resolved", "critical")
    assert (ticket.email, ticket.name, ticket.tags) == ("ana@example.com", "Ana", ("enterprise",))
    assert [(said.role, said.is_internal) for said in ticket.messages] == [
        ("user", False),
        ("agent", True),
        ("agent", False),
    ]
    assert ticket.ended_at == datetime(2025, 8, 5, 10, 38, 52, tzinfo=UTC)


def test_zendesk_as_lines_of_json() -> None:
    line = json.dumps({**ZENDESK["tickets"][0], "requester": {"id": 20978392, "email": "ana@example.com"}})
    assert len(list(read("zendesk", f"{line}\n{line}\n", now=NOW))) == 2


def test_chatwoot() -> None:
    ticket = one("chatwoot", json.dumps(CHATWOOT))
    assert (ticket.external_id, ticket.status, ticket.ended_at, ticket.tags) == ("7", "open", None, ("vip",))
    assert [said.content for said in ticket.messages] == ["Hello?", "Hi Ben"]
    assert ticket.body == "Hello?"


def test_a_table_with_quotes_line_breaks_and_a_byte_order_mark() -> None:
    ticket = one("csv", '\ufeffsubject,body,tags\n"Hi, you","two\nlines ""quoted""","a, b"\n')
    assert (ticket.subject, ticket.body) == ("Hi, you", 'two\nlines "quoted"')
    assert (ticket.tags, ticket.status, ticket.created_at) == (("a", "b"), "closed", NOW)
    assert ticket.external_id == "row-1"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("x,,open", "neither subject nor body"),
        (",hi,opened", "status: 'opened'"),
        (",hi,open,more", "3 fields"),
        (",hi\x00,open", "null character"),
        (f",{'x' * 70000},open", "longer than 64 KiB"),
    ],
)
def test_a_wrong_row_is_named_and_the_next_one_read(row: str, words: str) -> None:
    header = "external_id,body,status"
    problem, good = read("csv", f"{header}\n{row}\n,fine,open\n", now=NOW)
    assert isinstance(problem, RowProblem)
    assert words in problem.problem
    assert problem.place == "row 1 (line 2)"
    assert isinstance(good, ForeignTicket)


@pytest.mark.parametrize(
    ("source", "text"),
    [("zendesk", "not json"), ("chatwoot", '"a text"'), ("csv", "subject\nx\n"), ("csv", "body,colour\nx,red\n")],
)
def test_a_file_that_is_no_export_is_refused(source: str, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        list(read(source, text, now=NOW))
    assert refused.value.code == "bad_export"


def test_an_entry_that_is_not_as_exported_is_a_problem() -> None:
    found = list(read("zendesk", '[{"id": 1}, 5, {"id": 2, "created_at": "soon", "subject": "x"}]', now=NOW))
    assert [type(entry) for entry in found] == [RowProblem] * 3
    assert found[0].place == "ticket 1"
