"""Named SQL: one X.sql beside X.py. A name that is declared but not written, or the reverse, fails at import."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import ClassVar, get_type_hints

_NAME = re.compile(r"^-- name: (?P<name>[a-z_0-9]+)\s*$", re.MULTILINE)


def parse_queries(text: str) -> dict[str, str]:
    """Split a file of `-- name: x` blocks into {name: sql}."""
    parts = _NAME.split(text)
    found: dict[str, str] = {}
    for name, sql in zip(parts[1::2], parts[2::2], strict=True):
        if name in found:
            raise ValueError(f"query {name!r} is written twice")
        found[name] = sql.strip().rstrip(";")
    return found


class NamedQueries:
    """Subclass with `name: str` annotations; the class of module X reads X.sql beside it."""

    file: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        module = sys.modules[cls.__module__]
        path = Path(str(module.__file__)).with_suffix(".sql")
        found = parse_queries(path.read_text(encoding="utf-8"))
        declared = {name for name in get_type_hints(cls) if name != "file"}
        if declared != set(found):
            absent, extra = declared - set(found), set(found) - declared
            raise RuntimeError(
                f"{path.name}: declared but not written: {sorted(absent)}; not declared: {sorted(extra)}"
            )
        for name, sql in found.items():
            setattr(cls, name, sql)
