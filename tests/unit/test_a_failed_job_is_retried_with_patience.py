"""Pauses double, are jittered and bounded; errors are kept by kind and place, never by their words."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asoe.domain.errors import Unavailable
from asoe.queue.cron import Clock, Cron
from asoe.queue.failures import Retries, kind_of, place_of
from asoe.queue.jobs import ID_KEYS, decode_ids, encode_ids


@given(failures=st.integers(1, 10_000))
def test_pauses_double_up_to_the_longest(failures):
    retries = Retries(tries=20_000, first=timedelta(seconds=1), longest=timedelta(minutes=5))
    pause = retries.pause_after(RuntimeError(), failures=failures)
    whole = min(300.0, 2.0 ** min(failures - 1, 10))
    assert pause is not None
    assert whole / 2 <= pause.total_seconds() <= whole


def test_after_the_last_try_there_is_no_pause():
    retries = Retries(tries=3)
    assert retries.pause_after(RuntimeError(), failures=2) is not None
    assert retries.pause_after(RuntimeError(), failures=3) is None


def test_an_error_that_says_when_is_heard():
    assert Retries().pause_after(Unavailable("busy", retry_after=90), failures=1) == timedelta(seconds=90)
    assert Retries().pause_after(Unavailable("gone", permanent=True), failures=1) is None


def test_an_error_is_known_by_kind_and_place():
    def fail() -> None:
        raise Unavailable("Ana's card was charged twice", code="provider_down")

    def fail_in_a_group() -> None:
        try:
            fail()
        except Unavailable as error:
            raise ExceptionGroup("two of Ana's wishes", [error]) from None

    with pytest.raises(ExceptionGroup) as raised:
        fail_in_a_group()
    assert kind_of(raised.value) == "Unavailable(provider_down)"
    assert place_of(raised.value).endswith(" fail")
    assert "Ana" not in kind_of(raised.value) + place_of(raised.value)


@given(ids=st.dictionaries(st.sampled_from(ID_KEYS), st.uuids()))
def test_a_payload_is_read_as_it_was_written(ids):
    assert decode_ids(encode_ids(ids)) == ids
    assert decode_ids(encode_ids({key: str(value) for key, value in ids.items()})) == ids


@given(key=st.text().filter(lambda key: key not in ID_KEYS))
def test_a_payload_takes_no_other_key(key):
    with pytest.raises(ValueError, match="ids only"):
        encode_ids({key: UUID(int=1)})


@pytest.mark.parametrize("seconds", [0, 0.5])
def test_a_cron_has_at_least_a_second(seconds):
    async def run() -> None: ...

    with pytest.raises(ValueError, match="shorter than a second"):
        Clock([Cron("sweep", timedelta(seconds=seconds), run)])
    with pytest.raises(ValueError, match="one name"):
        Clock([Cron("sweep", timedelta(seconds=1), run), Cron("sweep", timedelta(seconds=2), run)])
