"""The shipped cues can be read, and match phrases and stems as their file says."""

import pytest

from asoe.ai.cues import cue_list, read_cues
from asoe.ai.features import words_of
from asoe.domain.errors import Invalid


def found(text: str) -> set[str]:
    return set(cue_list().find(words_of(text)))


def test_one_cue_is_heard_in_four_languages() -> None:
    for text in ("about my invoice", "wegen meiner Rechnung", "sobre mi factura", "à propos de ma facture"):
        assert "invoice" in found(text)


def test_phrases_match_word_by_word() -> None:
    assert "sign_in" in found("I can't log in")
    assert "sign_in" not in found("the log is in the folder")


@pytest.mark.parametrize("line", ["no colon here", "cue: ok, ", "cue: ab*"])
def test_a_wrong_line_is_named(line: str) -> None:
    with pytest.raises(Invalid, match="line 2"):
        read_cues(f"# head\n{line}")
