"""A logged error names its kinds and places; neither its message nor local values reach the log, in either format."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest
import structlog

from asoe.cli import logs
from asoe.config import Settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def caught(monkeypatch):
    """What is written to standard error after `configure`."""
    root, kept = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level

    def configure(stream, log_format):
        monkeypatch.setattr(sys, "stderr", stream)
        logs.configure(Settings(log_format=log_format, log_level="info"))
        return stream

    yield configure
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**kept)


def fail() -> None:
    token = "asoe_S3CRET"  # noqa: F841  # a local value that a traceback could show
    try:
        raise KeyError("words of Ana")
    except KeyError as error:
        raise ValueError("more words of Ana") from error


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("logger", [structlog.get_logger("asoe.test"), logging.getLogger("library")])
def test_an_error_is_told_without_words_or_values(caught, log_format, logger) -> None:
    stream = caught(io.StringIO(), log_format)
    try:
        fail()
    except ValueError:
        logger.exception("it.failed")
    said = stream.getvalue()
    assert "S3CRET" not in said
    assert "words of Ana" not in said
    assert "ValueError" in said
    assert "KeyError" in said
    assert "test_logs_tell_no_secrets.py" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("stream", "log_format", "is_json"),
    [
        (io.StringIO(), "auto", True),
        (Terminal(), "auto", False),
        (Terminal(), "json", True),
        (io.StringIO(), "console", False),
    ],
)
def test_people_in_a_terminal_read_lines_and_programs_read_json(caught, stream, log_format, is_json) -> None:
    caught(stream, log_format)
    structlog.get_logger("asoe.test").info("it.happened", subject="words of Ana", ticket_id="1")
    said = stream.getvalue()
    assert "words of Ana" not in said
    if is_json:
        assert json.loads(said)["event"] == "it.happened"
    else:
        assert not said.startswith("{")
        assert "it.happened" in said
