"""A long word one slip away from a word of the runbooks is that word; everything else stays as the client wrote it."""

import pytest

from asoe.desk.runbook.spelling import well_spelled

PHRASES = (
    "automations are locked",
    "no callbacks arrive",
    "entries are missing",
    "the certificate of our domain has expired",
)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("auotmations is gone", "automations is gone"),
        ("not a single clalback", "not a single callback"),
        ("the newest entreis", "the newest entries"),
        ("our certficate", "our certificate"),
        ("our certifficate", "our certificate"),
        ("our certivicate", "our certificate"),
        ("lokced", "locked"),
        ("mising things", "missing things"),
    ],
)
def test_one_slip_is_mended(written: str, meant: str) -> None:
    assert well_spelled(written, PHRASES) == meant


@pytest.mark.parametrize("text", ["callback", "expires", "it arrived", "", "äöü ½ 401 key_1", "dommians", "calls"])
def test_other_words_inflections_and_short_ones_stay(text: str) -> None:
    assert well_spelled(text, PHRASES) == text


def test_of_two_words_alike_none_is_taken() -> None:
    assert well_spelled("reported stribe", ("a stripe", "a strike")) == "reported stribe"


def test_a_hostile_text_costs_little() -> None:
    text = "a" * 100_000 + " " + "callbakcs " * 2_000
    assert well_spelled(text, PHRASES).endswith("callbacks ")
