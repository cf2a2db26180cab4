"""docs/api/errors.md lists every stable code that the source raises, and none that it does not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ERRORS = frozenset({"Invalid", "Denied", "Missing", "Conflict", "Unavailable", "KeyTaken", "Problem"})


def raised() -> dict[str, str]:
    """Each code with a file that raises it."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "src" / "asoe").rglob("*.py")):
        if "estate" in path.relative_to(ROOT).parts:  # a service of its own, with its own codes (docs/demo-estate.md)
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                for code in _codes_of(node):
                    found.setdefault(code, str(path.relative_to(ROOT)))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                for argument, default in pairs:
                    if (
                        argument.arg == "code"
                        and isinstance(default, ast.Constant)
                        and isinstance(default.value, str)
                        and default.value
                    ):
                        found.setdefault(default.value, str(path.relative_to(ROOT)))
    problems = (ROOT / "src/asoe/api/problems.py").read_text(encoding="utf-8")
    for code in re.findall(r'^    \d{3}: \("([a-z_]+)"', problems, re.MULTILINE):
        found.setdefault(code, "src/asoe/api/problems.py")
    return found


def _codes_of(call: ast.Call) -> list[str]:
    texts = [word.value for word in call.keywords if word.arg == "code"]
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    if name == "Problem" and len(call.args) > 1:
        texts.append(call.args[1])
    parts = [part for text in texts for part in ((text.body, text.orelse) if isinstance(text, ast.IfExp) else (text,))]
    return [
        part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value
    ]


def documented() -> set[str]:
    text = (ROOT / "docs/api/errors.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))


def test_every_code_in_the_source_is_in_the_document() -> None:
    missing = {code: path for code, path in raised().items() if code not in documented()}
    assert not missing, "add to docs/api/errors.md: " + ", ".join(f"{code} ({path})" for code, path in missing.items())


def test_no_documented_code_is_gone_from_the_source() -> None:
    assert not documented() - set(raised())


def test_each_code_is_listed_once_and_in_order() -> None:
    text = (ROOT / "docs/api/errors.md").read_text(encoding="utf-8")
    for section in text.split("\n## ")[1:]:
        codes = re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)
        assert codes == sorted(set(codes)), section.splitlines()[0]
