from __future__ import annotations

import pytest

from asoe.domain.resolution import RESOLUTION_TYPES, TYPE_OF_INTENT, select_resolution_type
from asoe.domain.triage import CATEGORIES, INTENTS

# design 3.3
WITHOUT_EVIDENCE = {
    "billing": "billing_sync",
    "technical": "auto_fix",
    "account": "auto_fix",
    "integration": "auto_fix",
    "performance": "workflow_reset",
    "feature_request": "feature_recommendation",
    "bug_report": "guided_resolution",
    "general": "guided_resolution",
}


def test_without_evidence_the_category_decides():
    assert {category: select_resolution_type(category) for category in CATEGORIES} == WITHOUT_EVIDENCE


@pytest.mark.parametrize(("intent", "expected"), TYPE_OF_INTENT.items())
@pytest.mark.parametrize("category", CATEGORIES)
def test_a_sure_intent_outweighs_the_category(category, intent, expected):
    assert select_resolution_type(category, intent) == expected


def test_a_complaint_about_the_engine_is_retraining():
    assert {select_resolution_type(category, "engine_complaint") for category in CATEGORIES} == {"engine_retraining"}


def test_a_matching_runbook_outweighs_an_intent_that_would_only_be_answered():
    assert select_resolution_type("technical", "how_to", has_runbook=True) == "auto_fix"
    assert select_resolution_type("billing", "credits_missing", has_runbook=True) == "token_refund"


@pytest.mark.parametrize("has_runbook", [True, False])
def test_every_category_and_intent_ends_in_one_of_the_seven(has_runbook):
    for category in [*CATEGORIES, "never heard of"]:
        for intent in [*INTENTS, None, "never heard of"]:
            assert select_resolution_type(category, intent, has_runbook=has_runbook) in RESOLUTION_TYPES


def test_every_intent_with_a_type_of_its_own_exists():
    assert set(TYPE_OF_INTENT) <= set(INTENTS)
