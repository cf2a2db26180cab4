"""The permission table and the routes are one; every role that is not named is refused; every scope narrows."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from asoe.api import (
    agent_runs,
    alerts,
    articles,
    attachments,
    certificates,
    chat,
    composing,
    connectors,
    incidents,
    insights,
    intents,
    learning,
    mailbox,
    notifications,
    operations,
    people,
    permissions,
    recommendations,
    routing,
    runbooks,
    runs,
    service_levels,
    sessions,
    tickets,
    topics,
    webhooks,
    widget,
    wishes,
)
from asoe.api import credits as credit_ledger
from asoe.api.a2a import door as a2a
from asoe.api.mcp import door as mcp
from asoe.api.permissions import ALL, RULES, TABLE, Rule, authorize, check, rule_of
from asoe.domain.errors import Denied
from asoe.domain.organization import ROLES, Principal
from asoe.domain.people import SCOPES

ROUTERS = (
    tickets,
    sessions,
    attachments,
    articles,
    people,
    operations,
    connectors,
    credit_ledger,
    runbooks,
    runs,
    agent_runs,
    chat,
    widget,
    mcp,
    a2a,
    routing,
    composing,
    service_levels,
    notifications,
    webhooks,
    mailbox,
    incidents,
    alerts,
    insights,
    certificates,
    recommendations,
    topics,
    wishes,
    learning,
    intents,
)


def served() -> set[tuple[str, str]]:
    return {
        (method, route.path)  # type: ignore[attr-defined]
        for module in ROUTERS
        for route in module.router.routes
        for method in route.methods  # type: ignore[attr-defined]
    }


def test_every_route_is_in_the_table_and_every_row_has_a_route() -> None:
    assert served() == set(RULES)
    check(served())


def test_a_route_without_a_row_stops_the_start() -> None:
    with pytest.raises(RuntimeError, match="is not in asoe"):
        rule_of("POST", "/api/unknown")
    with pytest.raises(RuntimeError, match="differ"):
        check([*served(), ("GET", "/api/unknown")])
    with pytest.raises(RuntimeError, match="without a route"):
        check(sorted(served())[1:])


def test_the_table_fits_two_screens_and_names_each_route_once() -> None:
    assert len(TABLE) == len(RULES) <= 200
    for _, _, permission, roles, scope in TABLE:
        noun, _, verb = permission.partition(".")
        assert noun
        assert verb
        assert roles <= ALL or roles == permissions.CONTACTS
        assert scope is None or scope in SCOPES


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES.values() if not rule.is_public], ids=lambda r: r.method + r.path
)
def test_only_the_named_roles_pass(rule: Rule) -> None:
    for role in (*ROLES, "engine", "somebody"):
        caller = Principal(uuid4(), uuid4(), role)
        if role in rule.roles:
            authorize(caller, rule)
        else:
            with pytest.raises(Denied) as refused:
                authorize(caller, rule)
            assert refused.value.code == "role_not_permitted"


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if rule.scope], ids=lambda r: r.method + r.path)
def test_a_scope_narrows_a_key(rule: Rule) -> None:
    def caller(*scopes: str) -> Principal:
        return Principal(uuid4(), uuid4(), "owner", scopes=frozenset(scopes))

    assert rule.scope is not None
    authorize(caller(rule.scope), rule)
    authorize(caller("admin"), rule)
    authorize(caller(), rule)
    for other in SCOPES:
        if other not in {rule.scope, "admin"} and other != rule.scope.replace(":read", ":write"):
            with pytest.raises(Denied) as refused:
                authorize(caller(other), rule)
            assert refused.value.code == "scope_missing"


def test_what_changes_something_needs_more_than_a_reading_scope() -> None:
    reads: dict[str, Any] = {"POST /api/articles/search": "asks a question, changes nothing"}
    for (method, path), rule in RULES.items():
        if method != "GET" and rule.scope is not None and f"{method} {path}" not in reads:
            assert not rule.scope.endswith(":read"), (method, path)


def test_clients_change_nothing_but_their_own_words() -> None:
    writes = {(m, p) for (m, p), rule in RULES.items() if m != "GET" and "client" in rule.roles}
    chats = "/api/widget/{org}/conversations"
    assert {p for (m, p), rule in RULES.items() if m != "GET" and rule.is_for_contacts} == {
        "/api/widget/{org}/renew",
        chats,
        *(f"{chats}/{{conversation_id}}/{act}" for act in ("messages", "writing", "rating", "person", "files")),
    }
    assert writes == {
        ("POST", "/api/support/ticket"),
        ("POST", "/api/support/message/{session_id}"),
        ("POST", "/api/support/ticket/{ticket_id}/attachments"),
        ("POST", "/api/support/session/{ticket_id}"),
        ("POST", "/api/support/session/{session_id}/resolve"),
        ("POST", "/api/articles/search"),
        ("POST", "/mcp"),  # whose tools keep to the rules of these routes
        ("POST", "/a2a"),  # which withdraws what the caller itself opened, and no more
    }
    assert frozenset() == permissions.PUBLIC


def test_every_route_is_documented_with_who_may_call_it() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/api/endpoints.md").read_text(encoding="utf-8")
    names = {
        ALL: "all",
        permissions.STAFF: "staff",
        permissions.ADMINS: "owner, admin",
        permissions.OWNERS: "owner",
        permissions.PUBLIC: "anybody",
        permissions.CONTACTS: "client of the widget",
    }
    for (method, path), rule in RULES.items():
        row = next((line for line in text.splitlines() if line.startswith(f"| {method} | `{path}` |")), None)
        assert row is not None, f"docs/api/endpoints.md lacks {method} {path}"
        assert row.endswith(f"| {names[rule.roles]} | {rule.scope or ''} |"), row
