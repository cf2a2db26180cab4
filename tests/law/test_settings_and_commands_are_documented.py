"""docs/operations/settings.md lists exactly the settings there are, docs/cli.md every command with every option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer.main

from asoe.cli.main import app
from asoe.config import Settings

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    text = (DOCS / "operations" / "settings.md").read_text(encoding="utf-8")
    found = [line for line in text.splitlines() if line.startswith("| `ASOE_")]
    wanted = [row_of(name) for name in Settings.model_fields]
    assert found == wanted, "docs/operations/settings.md must hold these rows:\n" + "\n".join(wanted)


def test_every_command_and_option_is_documented() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    absent = []
    for path, command in commands():
        heading = f"### `asoe {path}`"
        if heading not in text:
            absent.append(heading)
            continue
        section = text.split(heading, 1)[1].split("\n### ", 1)[0]
        absent += [f"{heading}: {name}" for name in options(command) if f"`{name}`" not in section]
    assert not absent


def test_no_command_is_documented_that_does_not_exist() -> None:
    known = {path for path, _ in commands()}
    lines = (DOCS / "cli.md").read_text(encoding="utf-8").splitlines()
    named = {line.removeprefix("### `asoe ").rstrip("`") for line in lines if line.startswith("### `asoe ")}
    assert named <= known


def test_every_command_and_option_says_what_it_does() -> None:
    silent = [path for path, command in commands() if not command.help]
    silent += [
        f"{path} {option.name}"
        for path, command in commands()
        for option in command.params
        if not getattr(option, "hidden", False) and not option.help and option.name != "limit"
    ]
    assert not silent


def row_of(name: str) -> str:
    field = Settings.model_fields[name]
    default = "" if field.default in {None, ""} else f"`{field.default}`"
    return f"| `ASOE_{name.upper()}` | {default} | {field.description} |"


def commands() -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []

    def walk(command: Any, path: list[str]) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            found.append((" ".join(path), command))
            return
        for name, child in inner.items():
            walk(child, [*path, name])

    walk(typer.main.get_command(app), [])
    return found


def options(command: Any) -> list[str]:
    return [
        max(option.opts, key=len)
        for option in command.params
        if not getattr(option, "hidden", False) and option.opts[0].startswith("-")
    ]
