"""Settings as people write them in a file or a form: YAML or JSON, days and times left as they are written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from asoe.domain.errors import FieldProblem, Invalid

MOST: Final = 256 * 1024


def read_settings(text: str, known: Sequence[str]) -> dict[str, Any]:
    """The named parts of a text that holds nothing else; raises `Invalid(bad_settings_text)`."""
    if len(text) > MOST:
        raise Invalid(f"The text is longer than {MOST // 1024} KiB.", code="bad_settings_text")
    try:
        found = json.loads(json.dumps(yaml.safe_load(text), default=str))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"This is neither YAML nor JSON: {error}", code="bad_settings_text") from None
    if not isinstance(found, dict):
        raise Invalid(f"The text must hold {', '.join(known)}, or some of them.", code="bad_settings_text")
    unknown = [str(name) for name in found if name not in known]
    if unknown:
        raise Invalid(
            f"Not known here: {', '.join(unknown)}. Known are {', '.join(known)}.",
            code="bad_settings_text",
            fields=tuple(FieldProblem(name, f"is not one of {', '.join(known)}") for name in unknown),
        )
    return {name: value if value is not None else {} for name, value in found.items()}


def read_versions(text: str) -> dict[str, int]:
    """Versions of runbooks written as NAME=VERSION, by spaces, commas or lines; raises `Invalid(bad_settings_text)`."""
    found: dict[str, int] = {}
    for part in text.replace(",", " ").split():
        name, _, version = part.partition("=")
        if not name or not version.isascii() or not version.isdigit() or len(version) > 9:
            raise Invalid(f"{part}: write NAME=VERSION, such as unlock-account=4.", code="bad_settings_text")
        found[name] = int(version)
    return found


def write_settings(parts: Mapping[str, Any]) -> str:
    """The same as YAML."""
    return yaml.safe_dump(dict(parts), allow_unicode=True, sort_keys=False, width=110) if any(parts.values()) else ""
