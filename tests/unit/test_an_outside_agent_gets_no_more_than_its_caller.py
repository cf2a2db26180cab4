"""Delegation: whatever an organization sets, an agent has the caller's rights or fewer, and each refusal says why."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asoe.api.mcp.tools import RULES
from asoe.api.outside import own_rights
from asoe.domain.delegation import TOOLS, AgentLimits, delegate
from asoe.domain.errors import Denied, Invalid
from asoe.domain.organization import ROLES, Principal
from asoe.domain.people import SCOPES
from asoe.domain.policy import read_policy

names = st.frozensets(st.sampled_from(sorted(TOOLS)))


@given(own=names, allowed=st.none() | names)
def test_a_delegation_is_the_intersection(own: frozenset[str], allowed: frozenset[str] | None):
    rights = {name: None if name in own else Denied("no", code="role_not_permitted") for name in TOOLS}
    found = delegate(rights, AgentLimits(tools=allowed))
    assert found.tools == (own if allowed is None else own & allowed)
    for name in TOOLS:
        if name in found.tools:
            found.check(name)
        else:
            with pytest.raises(Denied) as refused:
                found.check(name)
            assert refused.value.code == ("tool_not_delegated" if name in own else "role_not_permitted")
    with pytest.raises(Denied):
        found.check("decide")


@pytest.mark.parametrize("role", ROLES)
@given(scopes=st.frozensets(st.sampled_from(sorted(SCOPES)), min_size=1))
def test_fewer_scopes_never_give_more_tools(role: str, scopes: frozenset[str]):
    def tools(scopes: frozenset[str]) -> set[str]:
        rights = own_rights(Principal(uuid4(), uuid4(), role, scopes=scopes), RULES)
        return {name for name, denied in rights.items() if denied is None}

    assert tools(scopes) <= tools(frozenset())
    assert tools(scopes) <= tools(scopes | {"admin"})


def test_a_key_has_its_own_limits_where_it_has_some():
    key_id = uuid4()
    stored = {"tools": ["read_stats"], "live_runs_per_day": 3, "keys": {str(key_id): {"tools": ["find_tickets"]}}}
    agents = read_policy({"outside_agents": stored}).outside_agents
    by_key = agents.limits_for(Principal(uuid4(), uuid4(), "agent", key_id=key_id))
    assert (by_key.tools, by_key.live_runs_per_day) == ({"find_tickets"}, 3)
    person = agents.limits_for(Principal(uuid4(), uuid4(), "owner"))
    assert (person.tools, person.runbooks) == ({"read_stats"}, None)
    assert read_policy({}).outside_agents.limits_for(Principal(uuid4(), uuid4(), "owner")).tools is None


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        ([], "outside_agents"),
        ({"tools": "read_stats"}, "outside_agents.tools"),
        ({"tools": ["approve"]}, "outside_agents.tools"),
        ({"runbooks": [1]}, "outside_agents.runbooks"),
        ({"live_runs_per_day": -1}, "outside_agents.live_runs_per_day"),
        ({"live_runs_per_day": True}, "outside_agents.live_runs_per_day"),
        ({"limit": 1}, "outside_agents.limit"),
        ({"keys": []}, "outside_agents.keys"),
        ({"keys": {"mine": {}}}, "outside_agents.keys.mine"),
    ],
)
def test_limits_that_cannot_be_read_are_refused_by_field(stored: object, field: str):
    if stored == {"keys": []}:
        stored = {"keys": ["x"]}
    with pytest.raises(Invalid) as refused:
        read_policy({"outside_agents": stored})
    assert refused.value.code == "bad_policy"
    assert [one.field for one in refused.value.fields] == [field]
