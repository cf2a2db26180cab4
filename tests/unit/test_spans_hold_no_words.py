"""What a span holds is listed, has its form, and is never a client's words; whoever names no collector pays nothing for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from asoe import config, tracing
from asoe.cli.metrics import metrics_door
from asoe.domain.errors import Conflict, Invalid, Missing
from asoe.tracing import measures

SOURCES = Path(tracing.__file__).parents[1]
OF_SPAN = {"of", "kind", "parent", "link", "is_current"}
NO_FREE_WORDS = st.text(min_size=1).filter(lambda text: not text.isascii() or " " in text or "@" in text)


@pytest.fixture
def seen() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.listen(provider.get_tracer("asoe"))
    yield exporter
    tracing.listen(None)


def test_every_attribute_that_code_gives_is_listed() -> None:
    given_by_code, used = set(), set()
    for path in SOURCES.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "tracing" in text else ():
            if isinstance(node, ast.Call) and _is_of_spans(node.func):
                names = {word.arg for word in node.keywords if word.arg is not None} - OF_SPAN
                used |= names
                given_by_code |= {f"{path.name}: {name}" for name in names - tracing.ATTRIBUTES.keys()}
    assert not given_by_code, (
        "name it in tracing.ATTRIBUTES with its form, if it is an id, a word of ours, a figure or a flag"
    )
    assert "ticket_id" in used


def test_no_attribute_is_named_like_text_or_a_secret() -> None:
    words = {
        "text",
        "body",
        "subject",
        "content",
        "message",
        "email",
        "phone",
        "name",
        "token",
        "secret",
        "password",
        "url",
        "path",
    }
    named = {name for name in tracing.ATTRIBUTES if words & set(name.split("_"))}
    assert not named


@settings(max_examples=40)
@given(NO_FREE_WORDS)
def test_nothing_but_its_form_gets_into_an_attribute(text: str) -> None:
    for name in tracing.ATTRIBUTES:
        assert tracing._attribute(name, text) is None
        assert tracing._attribute(name, [text]) is None
    assert tracing.named("act", text) == "act"


@pytest.mark.parametrize(
    "text", ["4242424242424242", "+4930123456", "ana@acme.example", "ana writes", "<b>", "x" * 121, ""]
)
def test_what_clients_write_is_no_word(text: str) -> None:
    assert tracing._attribute("reason", text) is None
    assert tracing._attribute("ticket_id", text) is None


def test_ids_words_figures_and_flags_do_get_in() -> None:
    given = {
        "ticket_id": UUID(int=7),
        "reason": "client_asked",
        "tries": 2,
        "is_undo": True,
        "reasons": ["fraud", "not this one"],
    }
    made = dict(each for name, value in given.items() if (each := tracing._attribute(name, value)) is not None)
    assert made == {
        "asoe.ticket.id": str(UUID(int=7)),
        "asoe.reason": "client_asked",
        "asoe.tries": 2,
        "asoe.act.is_undo": True,
        "asoe.reasons": ["fraud"],
    }


def test_an_error_is_told_by_its_kind_and_a_code_of_ours(seen: InMemorySpanExporter) -> None:
    class OutsideError(Exception):
        code = "words_of_somebody_else"

    for error in (ValueError("hunter2"), Missing("There is no Ana.", code="ticket_missing"), OutsideError()):
        with pytest.raises(type(error)), tracing.span("outer"), tracing.span("inner"):
            raise error
    ended = seen.get_finished_spans()
    assert [dict(span.attributes or {})["error.type"] for span in ended[::2]] == [
        "ValueError",
        "ticket_missing",
        "OutsideError",
    ]
    assert all(not span.events and not span.status.description for span in ended), "no message, no stack"
    assert tracing.current() is None


def test_the_wire_says_where_a_trace_goes_on(seen: InMemorySpanExporter) -> None:
    with tracing.span("door"):
        carried = tracing.carried()
    assert carried is not None
    with tracing.span("job", parent=carried["otel"]["traceparent"]):
        pass
    with tracing.continuing(carried["otel"]["traceparent"], is_link=True):
        assert tracing.carried() == {"otel": {"link": carried["otel"]["traceparent"]}}
    door, job = seen.get_finished_spans()
    assert job.parent is not None
    assert (job.context.trace_id, job.parent.span_id) == (door.context.trace_id, door.context.span_id)


def test_nothing_is_imported_that_nobody_asked_for() -> None:
    """Only one file knows the SDK, and only the composition root knows that one, when a collector is named."""
    knowing = {
        path.relative_to(SOURCES).as_posix(): text
        for path in SOURCES.rglob("*.py")
        if "opentelemetry.sdk" in (text := path.read_text(encoding="utf-8")) or "tracing.export" in text
    }
    assert set(knowing) == {"tracing/export.py", "app.py"}
    assert re.findall(r"^( *)from asoe.tracing.export", knowing["app.py"], re.MULTILINE) == ["    ", "    "]
    assert "if TYPE_CHECKING:\n    from asoe.tracing.export" in knowing["app.py"]


@pytest.mark.parametrize(
    ("variables", "is_wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_variables_say_whether(
    variables: dict[str, str], is_wanted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert config.telemetry().wants_traces == is_wanted


def test_the_file_of_settings_counts_and_what_we_do_not_speak_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    (tmp_path / ".env").write_text("OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318\n")
    assert config.telemetry().wants_traces
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(Invalid, match="OTEL_EXPORTER_OTLP_PROTOCOL") as caught:
        config.telemetry()
    assert caught.value.code == "bad_settings"


def test_no_label_of_a_figure_is_an_id() -> None:
    labels = {label for measure in measures.MEASURES.values() for label in measure.labels}
    assert labels == {
        "channel",
        "direction",
        "job",
        "mode",
        "operation",
        "outcome",
        "risk",
        "status",
        "step",
        "use",
        "verdict",
    }


async def test_a_worker_answers_prometheus_under_the_rules_of_the_api() -> None:
    settings = config.Settings(_env_file=None).model_copy(update={"metrics_port": 0})
    for token, shown, status in ((None, "", 200), ("correct-horse", "", 401), ("correct-horse", "correct-horse", 200)):
        guarded = settings.model_copy(update={"metrics_token": token})
        async with metrics_door(guarded) as port, httpx.AsyncClient(trust_env=False) as caller:
            headers = {"Authorization": f"Bearer {shown}"} if shown else {}
            found = await caller.get(f"http://127.0.0.1:{port}/metrics", headers=headers)
            assert (found.status_code, "# TYPE asoe_jobs_total counter" in found.text) == (status, status == 200)
            assert (await caller.get(f"http://127.0.0.1:{port}/other", headers=headers)).status_code == 404
    async with metrics_door(settings.model_copy(update={"metrics_port": None})) as port:
        assert port is None
    async with metrics_door(settings) as port:
        with pytest.raises(Conflict, match="ASOE_METRICS_PORT"):
            await metrics_door(settings.model_copy(update={"metrics_port": port})).__aenter__()


def _is_of_spans(called: ast.expr) -> bool:
    """Whether it is `tracing.span(…)`, or `.note(…)` of a span."""
    if not isinstance(called, ast.Attribute):
        return False
    on = ast.unparse(called.value)
    return (called.attr == "span" and on == "tracing") or (
        called.attr == "note" and on in {"span", "here", "tracing.here()", "self"}
    )
