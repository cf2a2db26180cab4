"""A suggested answer counts as sent when its words are, as rewritten when they are not, and not at all after a short other word."""

from __future__ import annotations

import pytest

from asoe.domain.suggestion import was_sent

SUGGESTED = (
    "Open Settings and choose Export. [1] Pick the format, CSV or JSON, and the days you need. [1] The file comes by mail within ten "
    "minutes; larger ones are split into parts of a hundred megabytes each. [2]"
)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (SUGGESTED, True),
        (SUGGESTED.replace(" [1]", "").replace(" [2]", ""), True),
        (f"Dear Ana, thank you for asking.\n{SUGGESTED.upper()}\nKind regards\nBen", True),
        (SUGGESTED.replace("ten", "twenty"), True),
        (SUGGESTED + " But do not do any of this: it is wrong." * 6, False),
        ("Open Settings and choose Export. Then write to me, and I send you the file myself tomorrow.", False),
        ("That is not possible at the moment. We have switched it off until the week after next, sorry for that, and you can ask again.", False),
        ("I am looking into it.", None),
        ("", None),
    ],
)  # fmt: skip
def test_what_a_person_made_of_it_is_read_off_the_words(reply: str, said: bool | None) -> None:
    assert was_sent(SUGGESTED, reply) is said


def test_very_long_texts_cost_little() -> None:
    assert was_sent("word " * 50_000, "word " * 50_000) is True
    assert was_sent("...", "anything") is None
