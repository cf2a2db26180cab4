from __future__ import annotations

from pathlib import Path

import pytest

from asoe.desk.article import cut, read_article, read_article_file
from asoe.domain.errors import Invalid
from asoe.domain.knowledge import MAX_BODY

DEMO = Path(__file__).parents[2] / "src/asoe/demo/articles"
GOOD = "---\ntitle: Reset your password\nslug: reset-password\nlanguage: en\n---\nText.\n"


def test_front_matter_and_body_are_read():
    article = read_article(GOOD.replace("language: en", "language: en\naudience: agent\ntags: [a, b, a]"), name="a.md")
    assert (article.title, article.slug, article.audience, article.tags) == (
        "Reset your password",
        "reset-password",
        "agent",
        ("a", "b"),
    )
    assert article.body == "Text."


def test_windows_line_ends_and_a_byte_order_mark_are_fine(tmp_path):
    file = tmp_path / "a.md"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_article_file(file).title == "Reset your password"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Just text.", ["a.md: front matter is missing", "begin the file with a line ---"]),
        (GOOD.replace("Reset your", "Reset: your"), ["not valid YAML in line 2", "double quotes"]),
        (GOOD.replace("title: Reset your password\n", ""), ["a.md: title is missing", "add a line `title: …`"]),
        (GOOD.replace("Reset your password", ""), ["a.md: title must be text but is empty"]),
        (GOOD.replace("Reset your password", "12"), ["a.md: title must be text but is read as 12", "in quotes"]),
        (GOOD.replace("language: en", "language: no"), ["a.md: language must be text but is read as False"]),
        (GOOD.replace("language: en", "language: english"), ["a.md: language 'english' is no language code"]),
        (GOOD.replace("reset-password", "Reset Password"), ["a.md: slug 'Reset Password' must be 1 to 120"]),
        (GOOD.replace("Reset your password", "x" * 301), ["a.md: title has 301 characters; at most 300"]),
        (GOOD.replace("Text.", "x" * (MAX_BODY + 1)), ["a.md: body has 200,001 characters", "split the article"]),
        (GOOD.replace("Text.", ""), ["a.md: body is empty"]),
        (
            GOOD.replace("language: en", "language: en\naudience: everyone"),
            ["a.md: audience 'everyone' must be one of"],
        ),
        (GOOD.replace("language: en", "language: en\nlang: en"), ["a.md: lang is not known"]),
        (GOOD.replace("language: en", "language: en\ntags: billing"), ["a.md: tags must be a list of words"]),
        ("---\n- a\n---\nText", ["must be lines of the form"]),
        ("---\ntitle: !!python/object/apply:os.system [id]\n---\nx", ["not valid YAML"]),
        (GOOD.replace("Text.", "a\x00b"), ["NUL character"]),
    ],
)
def test_a_wrong_article_names_file_field_and_remedy(text, told):
    with pytest.raises(Invalid) as caught:
        read_article(text, name="a.md")
    assert caught.value.code == "bad_article"
    assert caught.value.fields
    for words in told:
        assert words in caught.value.message


def test_a_file_that_is_not_utf8_names_the_line(tmp_path):
    file = tmp_path / "a.md"
    file.write_bytes(GOOD.encode() + b"caf\xe9")
    with pytest.raises(Invalid, match=r"a\.md: file is not UTF-8 \(byte \d+, line 7\); save it as UTF-8"):
        read_article_file(file)


def test_an_absent_or_huge_file_is_refused(tmp_path):
    with pytest.raises(Invalid, match="cannot be read"):
        read_article_file(tmp_path / "absent.md")
    (tmp_path / "huge.md").write_bytes(b"x" * (1024 * 1024 + 1))
    with pytest.raises(Invalid, match="at most 1,048,576"):
        read_article_file(tmp_path / "huge.md")


def test_every_demo_article_is_good():
    files = sorted(DEMO.rglob("*.md"))
    assert len(files) == 136
    for file in files:
        article = read_article_file(file)
        assert article.language == file.parent.name
        assert article.slug == file.stem
        assert cut(article.body)


def test_sections_are_cut_at_headings_and_know_the_path():
    chunks = cut("Intro.\n\n## Bill\nA.\n\n### Refund\nB.\n\n## Other\nC.")
    assert [(c.position, c.heading, c.text) for c in chunks] == [
        (0, "", "Intro."),
        (1, "Bill", "A."),
        (2, "Bill › Refund", "B."),
        (3, "Other", "C."),
    ]


def test_numbered_steps_stay_together_with_the_line_that_introduces_them():
    filler = " ".join(["word"] * 150)
    steps = "\n".join(f"{n}. {' '.join(['step'] * 20)}" for n in range(1, 11))
    chunks = cut(f"{filler}\n\nDo this:\n\n{steps}\n\nAfterwards, wait.")
    assert [chunk.text.split("\n")[0] for chunk in chunks] == [filler, "Do this:", "Afterwards, wait."]
    assert chunks[1].text.endswith(steps)


def test_nothing_is_lost_and_no_chunk_is_too_long():
    words = [f"w{n}" for n in range(3000)]
    body = " ".join(words[:1000]) + "\n\n" + "\n".join(f"{n}. {w}" for n, w in enumerate(words[1000:], 1))
    chunks = cut(body)
    found = [word for chunk in chunks for word in chunk.text.split() if word.startswith("w")]
    assert found == words
    assert max(len(chunk.text.split()) for chunk in chunks) <= 340


def test_one_endless_word_is_cut():
    chunks = cut("x" * 100_000)
    assert max(len(chunk.text) for chunk in chunks) <= 170 * 401


def test_html_and_code_stay_text():
    body = "<script>alert(1)</script>\n\n```sh\nrm -rf /\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    (chunk,) = cut(body)
    assert "<script>alert(1)</script>" in chunk.text
    assert "rm -rf /" in chunk.text
    assert "| 1 | 2 |" in chunk.text


def test_a_body_of_headings_alone_gives_no_chunk_but_no_error():
    assert cut("# One\n\n## Two") == []
