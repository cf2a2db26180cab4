from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asoe.domain.errors import Invalid
from asoe.domain.policy import Policy, read_policy

WRONG = {
    "routing": {"routing": "not an object"},
    "routing.by_category": {"routing": {"by_category": "billing"}},
    "routing.by_category.billin": {"routing": {"by_category": {"billin": "money"}}},
    "routing.by_intent.No such": {"routing": {"by_intent": {"No such": "money"}}},
    "routing.by_severity.urgent": {"routing": {"by_severity": {"urgent": "on_call"}}},
    "routing.by_category.billing": {"routing": {"by_category": {"billing": 5}}},
    "routing.default": {"routing": {"default": ["frontline"]}},
    "languages": {"languages": ["en", "tlh"]},
    "default_language": {"default_language": "tlh"},
    "persons_only": {"persons_only": ["The weather"]},
    "signature": {"signature": {"text": "Bye"}},
    "reopen_window_days": {"reopen_window_days": -1},
    "close_after_silence_hours": {"close_after_silence_hours": 0},
    "answer_threshold": {"answer_threshold": 1.5},
    "answers_alone": {"answers_alone": "sometimes"},
    "audit_share": {"audit_share": 2},
    "confidence_threshold": {"confidence_threshold": True},
    "runbook_looks": {"runbook_looks": 8},
    "runbook_looks.at_most": {"runbook_looks": {"at_most": 0}},
    "runbook_looks.least_chance": {"runbook_looks": {"least_chance": 3}},
    "runbook_looks.most": {"runbook_looks": {"most": 3}},
    "runbook_questions": {"runbook_questions": True},
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_field_is_named(field):
    with pytest.raises(Invalid) as caught:
        read_policy(WRONG[field])
    assert caught.value.code == "bad_policy"
    assert [problem.field for problem in caught.value.fields] == [field]
    assert field in caught.value.message


def test_all_wrong_fields_are_named_at_once():
    everything = {"languages": 5, "persons_only": "billing", "answer_threshold": "high", "routing": []}
    with pytest.raises(Invalid) as caught:
        read_policy({**everything, "routing": [1]})
    assert {problem.field for problem in caught.value.fields} == set(everything)


def test_nothing_stored_is_the_default_policy():
    assert read_policy({}) == Policy()
    assert read_policy({"routing": None, "languages": None, "persons_only": [], "signature": None}) == Policy()


def test_what_is_stored_is_read():
    policy = read_policy(
        {
            "routing": {"by_category": {"billing": "money"}, "by_severity": {}, "default": "all"},
            "languages": ["de"],
            "default_language": "de",
            "reopen_window_days": 0,
            "runbook_looks": {"at_most": 3, "least_chance": 0},
            "close_after_silence_hours": 0.5,
            "answer_threshold": 1,
            "persons_only": ["billing", "account_takeover"],
            "something of a later release": 1,
        }
    )
    assert (policy.languages, policy.default_language, policy.persons_only) == (
        ("de",),
        "de",
        ("billing", "account_takeover"),
    )
    assert (policy.reopen_window_days, policy.silence_hours, policy.answer_threshold) == (0, 0.5, 1)
    assert policy.team_for(category="billing", intent=None, severity="critical") == "money"
    assert policy.team_for(category="general", intent=None, severity="low") == "all"


def test_severity_outweighs_intent_and_intent_outweighs_category():
    policy = Policy()
    assert policy.team_for(category="billing", intent="how_to", severity="critical") == "on_call"
    assert policy.team_for(category="account", intent="account_takeover", severity="low") == "on_call"
    assert policy.team_for(category="billing", intent="how_to", severity="low") == "billing"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = [field.split(".")[0] for field in WRONG]


@settings(max_examples=200, deadline=None)
@given(
    stored=st.dictionaries(
        st.sampled_from(NAMES), json_values | st.dictionaries(st.sampled_from(["by_category", "default"]), json_values)
    )
)
def test_whatever_is_stored_is_read_or_refused_and_never_breaks(stored):
    with suppress(Invalid):  # anything else would come out
        assert isinstance(read_policy(stored), Policy)
