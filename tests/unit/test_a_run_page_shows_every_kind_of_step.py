"""The page of a run shows what was read, asked and waited for, answered or not."""

from __future__ import annotations

from types import SimpleNamespace

from jinja2 import ChoiceLoader, DictLoader, Environment, FileSystemLoader, StrictUndefined

from asoe.domain.runbook import SlotReading
from asoe.store import runs, slot_readings
from asoe.web import words
from asoe.web.render import TEMPLATES


def test_questions_and_pauses_are_shown_beside_reads():
    bare = DictLoader({"layout.html": "{% import 'macros.html' as ui with context %}{% block main %}{% endblock %}"})
    page = Environment(
        loader=ChoiceLoader([bare, FileSystemLoader(TEMPLATES)]), autoescape=True, undefined=StrictUndefined
    )
    page.filters |= {"label": words.label, "percent": words.percent, "when": words.when}
    page.globals |= {"asset": str}
    told = (
        ("observe", {"value": "<b>locked", "error": None, "is_missing": False}),
        ("inquire", slot_readings.to_json(SlotReading("terms", "absent"))),
        ("inquire", None),
        ("pause", {}),
    )
    rows = [("step", seq, runs.StepRow(seq, f"steps/{seq}", kind, told=each)) for seq, (kind, each) in enumerate(told)]
    run = SimpleNamespace(
        id=1, ended_at=None, status="running", waiting_for=None, reason=None, mode="live", version=1, note=None, ticket_id=None, slots={}
    )  # fmt: skip
    html = page.get_template("run.html").render(
        found=SimpleNamespace(runbook="x"), run=run, rows=rows, csrf="", since=""
    )
    assert html.count("Question") == 2
    assert "&lt;b&gt;locked" in html
