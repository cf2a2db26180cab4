"""Writes what can be read off the code into docs/cli.md and docs/operations/settings.md, behind their marker lines.

Run it after a change: `.venv/bin/python scripts/document.py`. Laws compare the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer.main

from asoe.cli.main import app
from asoe.config import Settings

DOCS = Path(__file__).parents[1] / "docs"
MARK = "<!-- from here on written by scripts/document.py -->"


def settings() -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in {None, ""} else f"`{field.default}`"
        rows.append(f"| `ASOE_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def commands(command: Any, path: tuple[str, ...] = ()) -> list[str]:
    inner = getattr(command, "commands", None)
    if inner is not None:
        return [section for name, child in inner.items() for section in commands(child, (*path, name))]
    visible = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [parameter for parameter in visible if not parameter.opts[0].startswith("-")]
    usage = " ".join(["asoe", *path, *((argument.metavar or argument.name).upper() for argument in arguments)])
    lines = [f"### `asoe {' '.join(path)}`", "", (command.help or "").strip(), "", f"`{usage}`", ""]
    for parameter in visible:
        is_option = parameter.opts[0].startswith("-")
        name = max(parameter.opts, key=len) if is_option else (parameter.metavar or parameter.name).upper()
        shown = (
            ""
            if parameter.default in {None, False} or not is_option or callable(parameter.default)
            else (f" (default: {parameter.default})")
        )
        needed = " Required." if is_option and parameter.required else ""
        lines.append(f"- `{name}` {parameter.help or 'How many, at most.'}{needed}{shown}")
    return ["\n".join(lines).rstrip() + "\n"]


def write(path: Path, generated: str) -> None:
    head = path.read_text(encoding="utf-8").split(MARK)[0]
    path.write_text(f"{head}{MARK}\n\n{generated.rstrip()}\n", encoding="utf-8")


if __name__ == "__main__":
    write(DOCS / "operations" / "settings.md", settings())
    write(DOCS / "cli.md", "\n".join(commands(typer.main.get_command(app))))
