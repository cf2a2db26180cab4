from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from asoe.domain.knowledge import (
    OTHER_LANGUAGE,
    PASSAGES_PER_ARTICLE,
    Candidate,
    fuse,
    question_windows,
)


def chunk(number, article, lexical, semantic, language="en"):
    return Candidate(number, UUID(int=article), language, lexical, semantic)


def test_agreement_of_words_and_meaning_wins():
    order = fuse([chunk(1, 1, 0.5, 0.2), chunk(2, 2, 0.45, 0.6), chunk(3, 3, 0.0, 0.62)], language="en", limit=8)
    assert [item.candidate.chunk_id for item in order] == [2, 1, 3]


def test_one_article_does_not_crowd_out_the_others():
    ones = [chunk(n, 1, 0.5, 0.5) for n in range(20)]
    order = fuse([*ones, chunk(90, 2, 0.1, 0.1)], language="en", limit=8)
    assert [item.candidate.article_id.int for item in order] == [1] * PASSAGES_PER_ARTICLE + [2]


def test_of_two_equals_the_one_in_the_clients_language_comes_first():
    order = fuse([chunk(1, 1, 0.5, 0.5, "de"), chunk(2, 2, 0.5, 0.5, "en")], language="en", limit=8)
    assert [(item.candidate.chunk_id, item.score) for item in order] == [(2, 1), (1, OTHER_LANGUAGE)]


def test_what_fits_in_another_language_comes_before_what_does_not_in_the_clients():
    order = fuse([chunk(1, 1, 0.5, 0.5, "de"), chunk(2, 2, 0.45, 0.4, "en")], language="en", limit=8)
    assert [item.candidate.chunk_id for item in order] == [1, 2]


def test_an_article_is_shown_in_the_clients_language_by_the_merits_of_its_best_translation():
    found = [chunk(1, 1, 0.5, 0.5, "en"), chunk(2, 2, 0.3, 0.3, "de"), chunk(3, 3, 0.45, 0.45, "de")]
    names = {UUID(int=1): "reset-password", UUID(int=2): "reset-password", UUID(int=3): "cancel-plan"}
    asked = {UUID(int=1): 0.6, UUID(int=3): 0.2}
    order = fuse(found, language="de", limit=8, asked=asked, names=names)
    assert [(item.candidate.chunk_id, item.asked) for item in order] == [(2, 0.6), (3, 0.2)]
    assert order[0].score == 1
    assert [item.candidate.chunk_id for item in fuse(found, language="fr", limit=8, asked=asked, names=names)] == [1, 3]


def test_nothing_in_nothing_out():
    assert fuse([], language="en", limit=8) == []


@given(
    st.lists(
        st.builds(
            chunk,
            st.integers(1, 10_000),
            st.integers(1, 20),
            st.floats(0, 1),
            st.floats(-1, 1),
        ),
        max_size=60,
        unique_by=lambda candidate: candidate.chunk_id,
    )
)
def test_order_is_total_bounded_and_independent_of_the_order_of_arrival(candidates):
    candidates = [replace(one, language=["en", "de"][one.article_id.int % 2]) for one in candidates]
    names = {UUID(int=article): str(article // 2) for article in range(1, 10)}
    order = fuse(candidates, language="en", limit=8, names=names)
    assert order == fuse(candidates[::-1], language="en", limit=8, names=names)
    assert all(-1 <= item.score <= 1.0000001 for item in order)
    assert [item.score for item in order] == sorted((item.score for item in order), reverse=True)
    assert len(order) <= 8


@given(st.text(max_size=3000), st.integers(1, 50))
def test_windows_keep_every_word_in_order(text, words):
    windows = question_windows(text, words=words, most=10_000)
    assert windows
    assert [word for window in windows for word in window.split()] == text.split()
    assert all(len(window.split()) <= words for window in windows)
