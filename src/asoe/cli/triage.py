"""`asoe triage`: judges tickets of a file without storing anything."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from asoe.cli.door import Json, err, run, show
from asoe.cli.replay import read_lines


def add_to(app: typer.Typer) -> None:
    app.command()(triage)


def triage(
    *,
    file: Annotated[Path, typer.Argument(help='JSON lines: {"text": …} or {"subject": …, "body": …}.')],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N lines.")] = None,
    as_json: Json = False,
) -> None:
    """Print category, severity and intent of each ticket, with confidences and the words that mattered."""
    lines = read_lines(file, limit=limit)
    judged = run(_judge(lines))
    if as_json:
        for line in judged:
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        return
    rows = [
        {
            "category": f"{one['category']['value']} {one['category']['confidence']:.2f}",
            "severity": f"{one['severity']['value']} {one['severity']['confidence']:.2f}",
            "intent": f"{one['intent']['value']} {one['intent']['confidence']:.2f}",
            "text": one["text"][:60].replace("\n", " "),
        }
        for one in judged
    ]
    show(rows, ("category", "severity", "intent", "text"), as_json=False)


async def _judge(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from asoe.ai.local import LocalAI

    ai = await LocalAI.load()
    judged = []
    for line in track(lines, "Judging", console=err, transient=True):
        subject, body = str(line.get("subject") or ""), str(line.get("body") or line.get("text") or "")
        found = await ai.triage(subject, body)
        named = {"id": line["id"]} if "id" in line else {}
        judged.append({**named, "text": f"{subject}\n{body}".strip(), **found.to_json()})
    return judged
